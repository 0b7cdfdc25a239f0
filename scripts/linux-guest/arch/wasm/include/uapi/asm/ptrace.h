/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_ASM_WASM_PTRACE_H
#define _UAPI_ASM_WASM_PTRACE_H

#ifndef __ASSEMBLY__
/*
 * All that a program shows of its state: Wasm keeps its locals, its operand stack and where it is to itself. The two
 * registers are the module's globals __stack_pointer and __tls_base.
 */
struct user_regs_struct {
	unsigned long sp;
	unsigned long tp;
};
#endif

#endif
