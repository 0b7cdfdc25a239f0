/* SPDX-License-Identifier: GPL-2.0 */
/*
 * call_indirect traps unless the function has just the type that the caller says. So every entry of the system call table
 * takes six longs and uses as many as it needs, and a call with the wrong number of arguments is no worse than elsewhere.
 */
#ifndef _ASM_WASM_SYSCALL_WRAPPER_H
#define _ASM_WASM_SYSCALL_WRAPPER_H

#define __SC_WASM_PARAMS	long a0, long a1, long a2, long a3, long a4, long a5
#define __SC_WASM_ARGS(x, ...)	__MAP(x, __SC_ARGS, , a0, , a1, , a2, , a3, , a4, , a5)

#define __SYSCALL_DEFINEx(x, name, ...)								\
	asmlinkage long __wasm_sys##name(__SC_WASM_PARAMS);					\
	static long __se_sys##name(__MAP(x, __SC_LONG, __VA_ARGS__));				\
	static inline long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__));			\
	asmlinkage long __wasm_sys##name(__SC_WASM_PARAMS)					\
	{											\
		return __se_sys##name(__SC_WASM_ARGS(x, __VA_ARGS__));				\
	}											\
	static long __se_sys##name(__MAP(x, __SC_LONG, __VA_ARGS__))				\
	{											\
		long ret = __do_sys##name(__MAP(x, __SC_CAST, __VA_ARGS__));			\
		__MAP(x, __SC_TEST, __VA_ARGS__);						\
		__PROTECT(x, ret, __MAP(x, __SC_ARGS, __VA_ARGS__));				\
		return ret;									\
	}											\
	static inline long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__))

#define SYSCALL_DEFINE0(sname)									\
	SYSCALL_METADATA(_##sname, 0);								\
	asmlinkage long __wasm_sys_##sname(__SC_WASM_PARAMS);					\
	asmlinkage long __wasm_sys_##sname(__SC_WASM_PARAMS)

#define COND_SYSCALL(name)									\
	asmlinkage long __wasm_sys_##name(__SC_WASM_PARAMS);					\
	asmlinkage long __weak __wasm_sys_##name(__SC_WASM_PARAMS)				\
	{											\
		return sys_ni_syscall();							\
	}

#endif
