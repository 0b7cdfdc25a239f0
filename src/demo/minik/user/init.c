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

static void start_and_wait(const char *path, char *name)
{
	char *const argv[] = { name, NULL };
	long pid = start(path, argv);
	int status;

	if (pid > 0)
		wait4_status(pid, &status, 0);
}

/* Where a word that begins with `word` goes on, on the kernel's command line; NULL when there is none. */
static const char *cmdline_find(const char *word)
{
	static char buf[520];
	size_t len = strlen(word);
	long fd = open("/proc/cmdline", 0), n;

	if (fd < 0)
		return NULL;
	n = read((int)fd, buf, sizeof(buf) - 1);
	close((int)fd);
	buf[n > 0 ? n : 0] = 0;
	for (const char *p = buf; *p; p++) {
		if ((p == buf || p[-1] == ' ') && !strncmp(p, word, len))
			return p + len;
	}
	return NULL;
}

static long cmdline_value(const char *option)
{
	const char *value = cmdline_find(option);

	return value ? simple_strtol(value, NULL) : 0;
}

static bool cmdline_flag(const char *word)
{
	const char *end = cmdline_find(word);

	return end && (!*end || *end == ' ' || *end == '\n');
}

int main(int argc, char **argv, char **envp)
{
	char *const sh[] = { "sh", NULL };
	long shell, pid, stress = cmdline_value("stress=");
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
	if (cmdline_flag("bug=user-write"))
		start_and_wait("/bin/fbtest", "fbtest");
	if (cmdline_flag("bug=fdtable"))
		start_and_wait("/bin/bindd", "bindd");
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
