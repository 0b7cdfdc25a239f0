/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A lock that whoever comes first may take. Not asm-generic's tickets: a host that runs all CPUs on one thread, each for a
 * time slice, would let every CPU but the one whose turn it is spin through its slice, at every hand-over.
 */
#ifndef _ASM_WASM_SPINLOCK_H
#define _ASM_WASM_SPINLOCK_H

#include <linux/atomic.h>
#include <asm/processor.h>
#include <asm/spinlock_types.h>

static __always_inline bool arch_spin_trylock(arch_spinlock_t *lock)
{
	return atomic_read(lock) == 0 && atomic_cmpxchg_acquire(lock, 0, 1) == 0;
}

static __always_inline void arch_spin_lock(arch_spinlock_t *lock)
{
	while (!arch_spin_trylock(lock))
		cpu_relax();
}

static __always_inline void arch_spin_unlock(arch_spinlock_t *lock)
{
	atomic_set_release(lock, 0);
}

static __always_inline int arch_spin_is_locked(arch_spinlock_t *lock)
{
	return atomic_read(lock) != 0;
}

static __always_inline int arch_spin_value_unlocked(arch_spinlock_t lock)
{
	return lock.counter == 0;
}

/* Nobody knows who waits. */
static __always_inline int arch_spin_is_contended(arch_spinlock_t *lock)
{
	return 0;
}

#include <asm/qrwlock.h>

#endif
