/* SPDX-License-Identifier: GPL-2.0 */
/* User memory is our memory: futex operations are atomic instructions. */
#ifndef _ASM_WASM_FUTEX_H
#define _ASM_WASM_FUTEX_H

#include <linux/errno.h>
#include <linux/futex.h>
#include <linux/uaccess.h>

static inline int arch_futex_atomic_op_inuser(int op, int oparg, int *oval, u32 __user *uaddr)
{
	u32 *word = (u32 __force *)uaddr;

	if (!access_ok(uaddr, sizeof(u32)))
		return -EFAULT;
	switch (op) {
	case FUTEX_OP_SET:
		*oval = __atomic_exchange_n(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_ADD:
		*oval = __atomic_fetch_add(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_OR:
		*oval = __atomic_fetch_or(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_ANDN:
		*oval = __atomic_fetch_and(word, ~oparg, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_XOR:
		*oval = __atomic_fetch_xor(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	default:
		return -ENOSYS;
	}
}

static inline int futex_atomic_cmpxchg_inatomic(u32 *uval, u32 __user *uaddr, u32 oldval, u32 newval)
{
	if (!access_ok(uaddr, sizeof(u32)))
		return -EFAULT;
	__atomic_compare_exchange_n((u32 __force *)uaddr, &oldval, newval, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	*uval = oldval;
	return 0;
}

#endif
