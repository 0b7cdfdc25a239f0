/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel leaves on the user stack for __libc_handle_signal, which finds it at the stack pointer. */
#ifndef MINIK_SIGFRAME_H
#define MINIK_SIGFRAME_H

struct sigframe {
	unsigned signo;
	unsigned long handler;
	/* The kernel's own: what sigreturn puts back. */
	unsigned long sp, tp;
	unsigned blocked;
	unsigned long prev;
	unsigned pad[2];
};

#endif
