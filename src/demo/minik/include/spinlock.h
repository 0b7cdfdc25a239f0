/* SPDX-License-Identifier: Apache-2.0 */
/* Atomics and spin locks. Interrupts are only taken in the idle loop, so no lock needs to mask them. */
#ifndef MINIK_SPINLOCK_H
#define MINIK_SPINLOCK_H
#include "types.h"

typedef struct {
	int counter;
} atomic_t;

#define ATOMIC_INIT(v) { (v) }
static inline int atomic_read(const atomic_t *a) { return __atomic_load_n(&a->counter, __ATOMIC_SEQ_CST); }
static inline void atomic_set(atomic_t *a, int v) { __atomic_store_n(&a->counter, v, __ATOMIC_SEQ_CST); }
static inline int atomic_inc_return(atomic_t *a) { return __atomic_add_fetch(&a->counter, 1, __ATOMIC_SEQ_CST); }
static inline int atomic_dec_return(atomic_t *a) { return __atomic_sub_fetch(&a->counter, 1, __ATOMIC_SEQ_CST); }
static inline void atomic_inc(atomic_t *a) { atomic_inc_return(a); }
static inline bool atomic_dec_and_test(atomic_t *a) { return atomic_dec_return(a) == 0; }
static inline bool atomic_cmpxchg(atomic_t *a, int old, int new)
{
	return __atomic_compare_exchange_n(&a->counter, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define cpu_relax() barrier()

#define SPINLOCK_MAGIC 0xdead4eadu
struct task_struct;

typedef struct raw_spinlock {
	u32 slock;
	u32 magic;
	struct task_struct *owner;
} raw_spinlock_t;

#define __RAW_SPIN_LOCK_UNLOCKED { 0, SPINLOCK_MAGIC, NULL }
#define DEFINE_RAW_SPINLOCK(name) raw_spinlock_t name = __RAW_SPIN_LOCK_UNLOCKED

void raw_spin_lock_init(raw_spinlock_t *lock);
void _raw_spin_lock(raw_spinlock_t *lock);
bool _raw_spin_trylock(raw_spinlock_t *lock);
void _raw_spin_unlock(raw_spinlock_t *lock);
#define raw_spin_lock(l) _raw_spin_lock(l)
#define raw_spin_trylock(l) _raw_spin_trylock(l)
#define raw_spin_unlock(l) _raw_spin_unlock(l)

#endif
