/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_BARRIER_H
#define _ASM_WASM_BARRIER_H

/* The memory model has one fence, of all accesses. */
#define __mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define nop()	barrier()

#include <asm-generic/barrier.h>

#endif
