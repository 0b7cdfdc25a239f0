/* SPDX-License-Identifier: Apache-2.0 */
/* /bin/sh: reads a line, runs its command or its two commands with a pipe between them. */
#include "sh.h"

#define MAX_ARGS 16
#define MAX_JOBS 16

struct command {
	int argc;
	char *argv[MAX_ARGS + 1];
	int in, out;      /* descriptors to use as 0 and 1 */
	int close_fd[2];  /* the pipe's, to be closed in the child */
	struct task task;
};

/* Background jobs keep their memory until they have been waited for. */
static struct {
	struct command *c;
	char name[16];
} jobs[MAX_JOBS];

static const struct builtin *find_builtin(const char *name)
{
	for (const struct builtin *b = builtins; b->name; b++) {
		if (!strcmp(b->name, name))
			return b;
	}
	return NULL;
}

static int run_child(void *arg)
{
	struct command *c = arg;
	const struct builtin *b = find_builtin(c->argv[0]);
	char path[64];

	syscall2(__NR_setpgid, 0, 0);
	syscall5(__NR_prctl, PR_SET_NAME, (long)c->argv[0], 0, 0, 0);
	signal(SIGINT, SIG_DFL);
	if (c->in != 0)
		dup2(c->in, 0);
	if (c->out != 1)
		dup2(c->out, 1);
	for (int i = 0; i < 2; i++) {
		if (c->close_fd[i] >= 0)
			close(c->close_fd[i]);
	}
	if (b)
		return b->run(c->argc, c->argv);
	snprintf(path, sizeof(path), "%s%s", c->argv[0][0] == '/' ? "" : "/bin/", c->argv[0]);
	execve(path, c->argv, NULL);
	dprintf(2, "sh: %s: not found\n", c->argv[0]);
	return 127;
}

static void set_foreground(long pgrp)
{
	int p = (int)pgrp;

	syscall3(__NR_ioctl, 0, TIOCSPGRP, (long)&p);
}

static int parse(char *s, struct command *c)
{
	c->argc = 0;
	while (*s) {
		while (*s == ' ' || *s == '\t')
			*s++ = 0;
		if (!*s)
			break;
		if (c->argc == MAX_ARGS)
			return -1;
		c->argv[c->argc++] = s;
		while (*s && *s != ' ' && *s != '\t')
			s++;
	}
	c->argv[c->argc] = NULL;
	c->in = 0;
	c->out = 1;
	c->close_fd[0] = c->close_fd[1] = -1;
	return c->argc;
}

static void report(struct command *c, int status)
{
	int sig = status & 0x7f;

	if (sig == SIGILL)
		printf("%s: Illegal instruction\n", c->argv[0]);
	else if (sig == SIGINT)
		printf("\n");
	else if (sig && sig != SIGPIPE)
		printf("%s: killed by signal %d\n", c->argv[0], sig);
}

static void wait_for(struct command *c)
{
	int status = 0;
	long pid;

	do {
		pid = wait4_status(c->task.pid, &status, 0);
	} while (pid == -EINTR);
	munmap(c->task.stack);
	report(c, status);
}

static void run_in_background(struct command *c)
{
	for (int i = 0; i < MAX_JOBS; i++) {
		if (jobs[i].c)
			continue;
		jobs[i].c = c;
		strscpy(jobs[i].name, c->argv[0], sizeof(jobs[i].name));
		printf("[%d] %d\n", i + 1, (int)c->task.pid);
		return;
	}
	printf("sh: too many jobs\n");
	wait_for(c);
}

static void reap_jobs(void)
{
	int status;

	for (int i = 0; i < MAX_JOBS; i++) {
		if (jobs[i].c && wait4_status(jobs[i].c->task.pid, &status, 1) > 0) {
			printf("[%d] done %s (%d)\n", i + 1, jobs[i].name, status >> 8);
			munmap(jobs[i].c->task.stack);
			munmap(jobs[i].c);
			jobs[i].c = NULL;
		}
	}
}

static int start(struct command *c)
{
	long pid = task_start(&c->task, PROCESS_FLAGS, run_child, c);

	if (pid < 0)
		printf("sh: cannot start %s: error %d\n", c->argv[0], (int)-pid);
	else
		/* The child does the same: whoever comes first. */
		syscall2(__NR_setpgid, pid, pid);
	return pid < 0 ? -1 : 0;
}

static void run_pipe(struct command *left, struct command *right)
{
	int fds[2];

	if (pipe(fds))
		return;
	left->out = right->close_fd[0] = fds[1];
	right->in = left->close_fd[0] = fds[0];
	left->close_fd[1] = fds[1];
	right->close_fd[1] = fds[0];
	right->close_fd[0] = fds[1];
	if (!start(left)) {
		bool both = !start(right);

		close(fds[0]);
		close(fds[1]);
		set_foreground(both ? right->task.pid : left->task.pid);
		wait_for(left);
		if (both)
			wait_for(right);
		set_foreground(getpid());
		return;
	}
	close(fds[0]);
	close(fds[1]);
}

/* The commands of a line and its text live on a page of their own: a child uses them after the shell has gone on. */
struct line {
	struct command left, right;
	char text[256];
};

static void run_line(struct line *l)
{
	char *bar = strchr(l->text, '|'), *amp = strchr(l->text, '&');
	const struct builtin *b;

	if (bar)
		*bar = 0;
	if (amp)
		*amp = 0;
	if (parse(l->text, &l->left) <= 0) {
		munmap(l);
		return;
	}
	if (bar) {
		if (parse(bar + 1, &l->right) > 0)
			run_pipe(&l->left, &l->right);
		munmap(l);
		return;
	}
	b = find_builtin(l->left.argv[0]);
	if (b && b->here) {
		b->run(l->left.argc, l->left.argv);
		munmap(l);
		return;
	}
	if (start(&l->left)) {
		munmap(l);
	} else if (amp) {
		run_in_background(&l->left);
	} else {
		set_foreground(l->left.task.pid);
		wait_for(&l->left);
		set_foreground(getpid());
		munmap(l);
	}
}

static void interrupted(int sig) { (void)sig; }

int main(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	syscall2(__NR_setpgid, 0, 0);
	set_foreground(getpid());
	signal(SIGINT, interrupted);
	for (;;) {
		struct line *l = mmap_anon(sizeof(*l));
		long n;

		if (IS_ERR(l))
			return 1;
		reap_jobs();
		printf("minik# ");
		n = read(0, l->text, sizeof(l->text) - 1);
		if (n == 0)
			break;
		if (n > 0 && l->text[n - 1] == '\n')
			n--;
		l->text[n > 0 ? n : 0] = 0;
		run_line(l);
	}
	return 0;
}
