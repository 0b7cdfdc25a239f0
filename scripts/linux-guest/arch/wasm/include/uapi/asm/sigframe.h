/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_ASM_WASM_SIGFRAME_H
#define _UAPI_ASM_WASM_SIGFRAME_H

#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>

/*
 * What lies at the stack pointer when the host calls __libc_handle_signal(): the C library calls
 * handler(signo, &info, &uc), then rt_sigreturn.
 */
struct rt_sigframe {
	__u32 signo;
	unsigned long handler;
	struct siginfo info;
	struct ucontext uc;
	/* The kernel's own: the frame of the signal that this one interrupted. */
	unsigned long outer;
};

#endif
