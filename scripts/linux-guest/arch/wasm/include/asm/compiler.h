/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_COMPILER_H
#define _ASM_WASM_COMPILER_H

/* A Wasm function cannot know its caller, and clang will not pretend. */
#define __builtin_return_address(level) ((void *)0)

#endif
