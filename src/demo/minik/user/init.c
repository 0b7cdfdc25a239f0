/* SPDX-License-Identifier: Apache-2.0 */
/* /init: starts the shell, reaps whatever is left to it, and halts the machine when the shell is gone. */
#include "libc.h"

static char *const shell_env[] = { "HOME=/", "PATH=/bin", NULL };

struct command {
	const char *path;
	char *const *argv;
};

static int exec_command(void *arg)
{
	struct command *c = arg;

	execve(c->path, c->argv, shell_env);
	return 127;
}

static long start(const char *path, char *const *argv)
{
	struct command c = { path, argv };
	struct task t;
	long pid = task_start(&t, CLONE_VM | CLONE_VFORK | SIGCHLD, exec_command, &c);

	/* The child has its own memory by now, or has gone. */
	if (pid > 0)
		munmap(t.stack);
	return pid;
}

/* The value of NAME=N on the kernel's command line. */
static long cmdline_value(const char *name)
{
	char buf[520];
	size_t len = strlen(name);
	long fd = open("/proc/cmdline", 0), n;

	if (fd < 0)
		return 0;
	n = read((int)fd, buf, sizeof(buf) - 1);
	close((int)fd);
	buf[n > 0 ? n : 0] = 0;
	for (const char *p = buf; *p; p++) {
		if ((p == buf || p[-1] == ' ') && !strncmp(p, name, len) && p[len] == '=')
			return simple_strtol(p + len + 1, NULL);
	}
	return 0;
}

int main(int argc, char **argv, char **envp)
{
	char *const sh[] = { "sh", NULL };
	long shell, pid, stress = cmdline_value("stress");
	int status;

	(void)argc;
	(void)argv;
	(void)envp;
	printf("init: minik user space, pid %d\n", (int)getpid());
	if (stress) {
		char n[12];
		char *const args[] = { "stress", n, NULL };

		snprintf(n, sizeof(n), "%d", (int)stress);
		start("/bin/stress", args);
	}
	shell = start("/bin/sh", sh);
	if (shell < 0)
		printf("init: cannot start the shell: %d\n", (int)shell);
	do {
		pid = wait4_status(-1, &status, 0);
	} while (pid > 0 && pid != shell);
	printf("init: the shell has gone\n");
	syscall1(__NR_reboot, (long)RB_HALT);
	return 1;
}
