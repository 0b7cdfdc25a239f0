/* SPDX-License-Identifier: Apache-2.0 */
/* Spin locks. */
#include "sched.h"

void raw_spin_lock_init(raw_spinlock_t *lock)
{
	lock->slock = 0;
	lock->magic = SPINLOCK_MAGIC;
	lock->owner = NULL;
}

noinline bool _raw_spin_trylock(raw_spinlock_t *lock)
{
	if (__atomic_exchange_n(&lock->slock, 1, __ATOMIC_SEQ_CST))
		return false;
	lock->owner = current;
	return true;
}

noinline void _raw_spin_lock(raw_spinlock_t *lock)
{
	while (__atomic_exchange_n(&lock->slock, 1, __ATOMIC_SEQ_CST)) {
		while (READ_ONCE(lock->slock))
			cpu_relax();
	}
	lock->owner = current;
}

noinline void _raw_spin_unlock(raw_spinlock_t *lock)
{
	lock->owner = NULL;
	__atomic_store_n(&lock->slock, 0, __ATOMIC_SEQ_CST);
}
