/* SPDX-License-Identifier: GPL-2.0 */
/* Wasm has read-modify-write instructions for 32 and 64 bits, all sequentially consistent. */
#ifndef _ASM_WASM_ATOMIC_H
#define _ASM_WASM_ATOMIC_H

#include <linux/types.h>
#include <asm/barrier.h>
#include <asm/cmpxchg.h>

#define ATOMIC64_INIT(i) { (i) }
typedef struct {
	s64 __aligned(8) counter;
} atomic64_t;

#define arch_atomic_read(v)	READ_ONCE((v)->counter)
#define arch_atomic_set(v, i)	WRITE_ONCE((v)->counter, (i))
#define arch_atomic64_read(v)	__atomic_load_n(&(v)->counter, __ATOMIC_SEQ_CST)
#define arch_atomic64_set(v, i)	__atomic_store_n(&(v)->counter, (i), __ATOMIC_SEQ_CST)

#define WASM_ATOMIC_OP(prefix, type, op)							\
static __always_inline void arch_##prefix##_##op(type i, prefix##_t *v)			\
{												\
	__atomic_fetch_##op(&v->counter, i, __ATOMIC_SEQ_CST);					\
}												\
static __always_inline type arch_##prefix##_fetch_##op(type i, prefix##_t *v)			\
{												\
	return __atomic_fetch_##op(&v->counter, i, __ATOMIC_SEQ_CST);				\
}
#define WASM_ATOMIC_OP_RETURN(prefix, type, op)							\
WASM_ATOMIC_OP(prefix, type, op)								\
static __always_inline type arch_##prefix##_##op##_return(type i, prefix##_t *v)		\
{												\
	return __atomic_##op##_fetch(&v->counter, i, __ATOMIC_SEQ_CST);				\
}

WASM_ATOMIC_OP_RETURN(atomic, int, add)
WASM_ATOMIC_OP_RETURN(atomic, int, sub)
WASM_ATOMIC_OP(atomic, int, and)
WASM_ATOMIC_OP(atomic, int, or)
WASM_ATOMIC_OP(atomic, int, xor)
WASM_ATOMIC_OP_RETURN(atomic64, s64, add)
WASM_ATOMIC_OP_RETURN(atomic64, s64, sub)
WASM_ATOMIC_OP(atomic64, s64, and)
WASM_ATOMIC_OP(atomic64, s64, or)
WASM_ATOMIC_OP(atomic64, s64, xor)

#define arch_atomic_add_return		arch_atomic_add_return
#define arch_atomic_sub_return		arch_atomic_sub_return
#define arch_atomic_fetch_add		arch_atomic_fetch_add
#define arch_atomic_fetch_sub		arch_atomic_fetch_sub
#define arch_atomic_fetch_and		arch_atomic_fetch_and
#define arch_atomic_fetch_or		arch_atomic_fetch_or
#define arch_atomic_fetch_xor		arch_atomic_fetch_xor
#define arch_atomic64_add_return	arch_atomic64_add_return
#define arch_atomic64_sub_return	arch_atomic64_sub_return
#define arch_atomic64_fetch_add		arch_atomic64_fetch_add
#define arch_atomic64_fetch_sub		arch_atomic64_fetch_sub
#define arch_atomic64_fetch_and		arch_atomic64_fetch_and
#define arch_atomic64_fetch_or		arch_atomic64_fetch_or
#define arch_atomic64_fetch_xor		arch_atomic64_fetch_xor

#endif
