// SPDX-License-Identifier: GPL-2.0
/* There is nothing of a program's state that another program could set. */
#include <linux/ptrace.h>

void ptrace_disable(struct task_struct *child)
{
}

long arch_ptrace(struct task_struct *child, long request, unsigned long addr, unsigned long data)
{
	return ptrace_request(child, request, addr, data);
}
