/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_PERCPU_H
#define _ASM_WASM_PERCPU_H

/* wasm-ld merges what is called .data.*: this has to stay apart. */
#define PER_CPU_BASE_SECTION "percpu"

#include <asm-generic/percpu.h>

#endif
