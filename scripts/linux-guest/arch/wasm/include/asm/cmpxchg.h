/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_CMPXCHG_H
#define _ASM_WASM_CMPXCHG_H

#include <linux/types.h>

#define arch_xchg(ptr, x)									\
({												\
	__typeof__(*(ptr)) __new = (x);								\
	unsigned long long __out;								\
												\
	switch (sizeof(*(ptr))) {								\
	case 1: __out = __atomic_exchange_n((volatile u8 *)(ptr), *(u8 *)&__new, __ATOMIC_SEQ_CST); break; \
	case 2: __out = __atomic_exchange_n((volatile u16 *)(ptr), *(u16 *)&__new, __ATOMIC_SEQ_CST); break; \
	case 4: __out = __atomic_exchange_n((volatile u32 *)(ptr), *(u32 *)&__new, __ATOMIC_SEQ_CST); break; \
	case 8: __out = __atomic_exchange_n((volatile u64 *)(ptr), *(u64 *)&__new, __ATOMIC_SEQ_CST); break; \
	default: __builtin_trap();								\
	}											\
	*(__typeof__(*(ptr)) *)&__out;								\
})

#define __wasm_cmpxchg(ptr, oldp, newp, type)							\
	__atomic_compare_exchange_n((volatile type *)(ptr), (type *)(oldp), *(type *)(newp), false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define arch_cmpxchg(ptr, o, n)									\
({												\
	__typeof__(*(ptr)) __old = (o), __new = (n);						\
												\
	switch (sizeof(*(ptr))) {								\
	case 1: __wasm_cmpxchg(ptr, &__old, &__new, u8); break;					\
	case 2: __wasm_cmpxchg(ptr, &__old, &__new, u16); break;				\
	case 4: __wasm_cmpxchg(ptr, &__old, &__new, u32); break;				\
	case 8: __wasm_cmpxchg(ptr, &__old, &__new, u64); break;				\
	default: __builtin_trap();								\
	}											\
	__old;											\
})

#define arch_cmpxchg_local	arch_cmpxchg
#define arch_cmpxchg64		arch_cmpxchg
#define arch_cmpxchg64_local	arch_cmpxchg

#endif
