/* SPDX-License-Identifier: Apache-2.0 */
/* Fast user-space mutexes. */
#ifndef MINIK_FUTEX_H
#define MINIK_FUTEX_H
#include "types.h"

/* Wakes up to `nr` tasks that sleep on the word; how many it were. */
long futex_wake(u32 *uaddr, int nr);

#endif
