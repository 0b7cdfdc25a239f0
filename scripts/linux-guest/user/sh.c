// SPDX-License-Identifier: Apache-2.0
/*
 * /bin/sh: commands separated by ';', pipelines, '&', redirections, and the builtins cd, exit, repeat N COMMAND, wait.
 * There are no variables, quotes are only around whole words.
 */
#include "box.h"

#define MAX_ARGS 24
#define MAX_STAGES 8
#define MAX_JOBS 64
#define LINE_SIZE 1024

struct stage {
	int argc;
	char *argv[MAX_ARGS + 1];
	const char *in_path, *out_path;
	bool append;
	int in, out;       /* descriptors to use as 0 and 1 */
	int close_fd;      /* the other end of its pipe, not the child's business */
	long pgrp;         /* 0: its own */
	long pid;
};

static struct {
	long pid;
	char name[16];
} jobs[MAX_JOBS];

static int run_stage(void *arg)
{
	struct stage *s = arg;
	char path[128];

	syscall2(__NR_setpgid, 0, s->pgrp);
	signal(SIGINT, SIG_DFL);
	if (s->in_path) {
		s->in = (int)open(s->in_path, O_RDONLY);
		if (s->in < 0)
			return complain("sh", s->in_path, s->in);
	}
	if (s->out_path) {
		s->out = (int)open(s->out_path, O_WRONLY | O_CREAT | (s->append ? O_APPEND : O_TRUNC));
		if (s->out < 0)
			return complain("sh", s->out_path, s->out);
	}
	if (s->in != 0) {
		dup2(s->in, 0);
		close(s->in);
	}
	if (s->out != 1) {
		dup2(s->out, 1);
		close(s->out);
	}
	if (s->close_fd >= 0)
		close(s->close_fd);
	snprintf(path, sizeof(path), "%s%s", strchr(s->argv[0], '/') ? "" : "/bin/", s->argv[0]);
	execve(path, s->argv, environment);
	dprintf(2, "sh: %s: not found\n", s->argv[0]);
	return 127;
}

/* Until the child has execed, this task waits: the child may use all that is here. */
static bool start(struct stage *s)
{
	struct task t;

	s->pid = task_start(&t, CLONE_VM | CLONE_VFORK | SIGCHLD, run_stage, s);
	if (s->pid < 0) {
		complain("sh", s->argv[0], s->pid);
		return false;
	}
	munmap(t.stack, TASK_STACK_SIZE);
	return true;
}

static void set_foreground(long pgrp)
{
	int p = (int)pgrp;

	syscall3(__NR_ioctl, 0, TIOCSPGRP, &p);
}

static int parse(char *text, struct stage *s)
{
	memset(s, 0, sizeof(*s));
	s->out = 1;
	s->close_fd = -1;
	for (;;) {
		char **to, quote;

		while (*text == ' ' || *text == '\t')
			text++;
		if (!*text)
			break;
		if (*text == '>' || *text == '<') {
			to = (char **)(*text == '<' ? &s->in_path : &s->out_path);
			s->append = text[0] == '>' && text[1] == '>';
			text += s->append ? 2 : 1;
			while (*text == ' ')
				text++;
		} else if (s->argc < MAX_ARGS) {
			to = &s->argv[s->argc++];
		} else {
			dprintf(2, "sh: too many words\n");
			return 0;
		}
		quote = *text == '"' || *text == '\'' ? *text++ : 0;
		*to = text;
		while (*text && (quote ? *text != quote : *text != ' ' && *text != '\t'))
			text++;
		if (*text)
			*text++ = 0;
	}
	return s->argc;
}

static int report(const char *name, int status)
{
	int sig = status & 0x7f;

	if (sig == SIGILL)
		printf("%s: Illegal instruction\n", name);
	else if (sig == SIGINT)
		printf("\n");
	else if (sig && sig != SIGPIPE)
		printf("%s: killed by signal %d\n", name, sig);
	return sig ? 128 + sig : status >> 8;
}

static int wait_for(const struct stage *s)
{
	int status = 0;
	long pid;

	do {
		pid = wait4(s->pid, &status, 0);
	} while (pid == -EINTR);
	return report(s->argv[0], status);
}

static void add_job(const struct stage *s)
{
	for (int i = 0; i < MAX_JOBS; i++) {
		if (jobs[i].pid)
			continue;
		jobs[i].pid = s->pid;
		strscpy(jobs[i].name, s->argv[0], sizeof(jobs[i].name));
		printf("[%d] %d\n", i + 1, (int)s->pid);
		return;
	}
	printf("sh: too many jobs: waiting for %s\n", s->argv[0]);
	wait_for(s);
}

static void reap_jobs(int options)
{
	int status;

	for (int i = 0; i < MAX_JOBS; i++) {
		if (!jobs[i].pid || wait4(jobs[i].pid, &status, options) <= 0)
			continue;
		printf("[%d] done %s (%d)\n", i + 1, jobs[i].name, status & 0x7f ? 128 + (status & 0x7f) : status >> 8);
		jobs[i].pid = 0;
	}
}

static int run_pipeline(struct stage *stages, int n, bool background)
{
	int started = 0, in = 0, ret = 0;

	for (int i = 0; i < n; i++) {
		struct stage *s = &stages[i];
		int fds[2] = { -1, 1 };

		if (i + 1 < n && pipe(fds) < 0)
			break;
		s->in = in;
		s->out = fds[1];
		s->close_fd = fds[0];
		s->pgrp = i ? stages[0].pid : 0;
		started += start(s);
		if (i == 0 && !background && started)
			set_foreground(s->pid);
		if (in != 0)
			close(in);
		if (fds[1] != 1)
			close(fds[1]);
		in = fds[0];
		if (started <= i)
			break;
	}
	if (in > 0)
		close(in);
	for (int i = 0; i < started; i++) {
		if (background)
			add_job(&stages[i]);
		else
			ret = wait_for(&stages[i]);
	}
	if (!background)
		set_foreground(getpid());
	return ret;
}

static int run_command(char *text, bool background);

static int repeat(char *text)
{
	const char *rest;
	char copy[LINE_SIZE];
	long n = strtol10(text, &rest);
	int ret = 0;

	for (long i = 0; i < n; i++) {
		strscpy(copy, rest, sizeof(copy));
		ret = run_command(copy, false);
	}
	return ret;
}

/* One command or pipeline, without ';' and '&'. */
static int run_command(char *text, bool background)
{
	struct stage stages[MAX_STAGES];
	int n = 0;

	while (*text == ' ')
		text++;
	if (!strncmp(text, "repeat ", 7))
		return repeat(text + 7);
	while (text) {
		char *bar = strchr(text, '|');

		if (n == MAX_STAGES)
			return complain("sh", "too many commands in a pipeline", 0);
		if (bar)
			*bar++ = 0;
		if (!parse(text, &stages[n++]))
			return 0;
		text = bar;
	}
	if (n == 1 && !strcmp(stages[0].argv[0], "exit"))
		exit(stages[0].argc > 1 ? (int)strtol10(stages[0].argv[1], NULL) : 0);
	if (n == 1 && !strcmp(stages[0].argv[0], "wait")) {
		reap_jobs(0);
		return 0;
	}
	if (n == 1 && !strcmp(stages[0].argv[0], "cd")) {
		long ret = syscall1(__NR_chdir, stages[0].argc > 1 ? stages[0].argv[1] : "/");

		return ret < 0 ? complain("cd", stages[0].argv[stages[0].argc - 1], ret) : 0;
	}
	return run_pipeline(stages, n, background);
}

static void run_line(char *line)
{
	while (*line) {
		char *end = line, separator;

		while (*end && *end != ';' && *end != '&')
			end++;
		separator = *end;
		*end = 0;
		run_command(line, separator == '&');
		line = separator ? end + 1 : end;
	}
}

static void interrupted(int sig)
{
	(void)sig;
}

int sh_main(int argc, char **argv)
{
	char line[LINE_SIZE];
	bool interactive = argc == 1;

	if (argc > 2 && !strcmp(argv[1], "-c")) {
		strscpy(line, argv[2], sizeof(line));
		run_line(line);
		return 0;
	}
	if (interactive) {
		syscall2(__NR_setpgid, 0, 0);
		signal(SIGINT, interrupted);
		/* Taking the terminal back after a command must not stop the shell. */
		signal(SIGTTOU, SIG_IGN);
		set_foreground(getpid());
	}
	for (;;) {
		long n;

		reap_jobs(WNOHANG);
		printf("# ");
		n = read(0, line, sizeof(line) - 1);
		if (n == 0 || (n < 0 && n != -EINTR))
			return 0;
		if (n > 0 && line[n - 1] == '\n')
			n--;
		line[n > 0 ? n : 0] = 0;
		run_line(line);
	}
}
