// SPDX-License-Identifier: GPL-2.0
#define COMPILE_OFFSETS
#include <linux/kbuild.h>
#include <linux/sched.h>
#include <linux/thread_info.h>

int main(void)
{
	OFFSET(TASK_STACK, task_struct, stack);
	DEFINE(TASK_STACK_TOP, THREAD_SIZE);
	DEFINE(TASK_STACK_GUARD, THREAD_GUARD_SIZE);
	DEFINE(TASK_STACK_ROOM, THREAD_SIZE - THREAD_GUARD_SIZE);
	return 0;
}
