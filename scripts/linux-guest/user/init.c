// SPDX-License-Identifier: Apache-2.0
/* /init: mounts what programs expect, keeps a shell running on the console, and reaps whatever is left to it. */
#include "box.h"

static char *const shell_env[] = { "HOME=/", "PATH=/bin", NULL };

static int run_shell(void *unused)
{
	char *const argv[] = { "sh", NULL };
	long fd;

	(void)unused;
	/* A session of its own, so that Ctrl-C goes to what the shell runs. */
	syscall0(__NR_setsid);
	fd = open("/dev/hvc0", O_RDWR);
	if (fd >= 0) {
		for (int i = 0; i < 3; i++)
			dup2((int)fd, i);
		if (fd > 2)
			close((int)fd);
		syscall3(__NR_ioctl, 0, TIOCSCTTY, 0);
	}
	execve("/bin/sh", argv, shell_env);
	return 127;
}

static void mount_or_say(const char *type, const char *dir)
{
	long ret = syscall5(__NR_mount, type, dir, type, 0, 0);

	if (ret < 0 && ret != -EBUSY)
		complain("init", dir, ret);
}

int init_main(int argc, char **argv)
{
	struct task shell;
	int status;
	long pid;

	(void)argc;
	(void)argv;
	mount_or_say("proc", "/proc");
	mount_or_say("sysfs", "/sys");
	mount_or_say("devtmpfs", "/dev");
	for (;;) {
		pid = task_start(&shell, CLONE_VM | CLONE_VFORK | SIGCHLD, run_shell, NULL);
		if (pid < 0)
			return complain("init", "cannot start the shell", pid);
		/* The child has its own memory by now, or has gone. */
		munmap(shell.stack, TASK_STACK_SIZE);
		while ((pid = wait4(-1, &status, 0)) != shell.pid) {
			if (pid < 0 && pid != -EINTR)
				return complain("init", "wait", pid);
		}
		printf("init: the shell has gone\n");
	}
}
