/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: delivery, nesting, both flows at once, a clone born with one, and exec from within handlers. */
#include "contract.h"

#define BIT(sig) (1u << (sig))

static char log[64];
static u32 log_len;

static void note(char c)
{
	if (log_len + 1 < sizeof(log))
		log[log_len++] = c;
	log[log_len] = 0;
}

static bool logged_either(const char *expected, const char *or)
{
	bool same = !strcmp(log, expected) || !strcmp(log, or);

	if (!same)
		printf("contract: logged \"%s\", expected \"%s\" or \"%s\"\n", log, expected, or);
	log_len = 0;
	log[0] = 0;
	return same;
}

static bool logged(const char *expected) { return logged_either(expected, expected); }

static void raise(int sig) { kill(getpid(), sig); }

/* The inner signal arrives inside the outer one's handler: at its system call, or, when masked, at its sigreturn. */
static void outer(int sig)
{
	(void)sig;
	note('(');
	raise(SIGUSR2);
	note(')');
}

static void inner(int sig)
{
	(void)sig;
	note('[');
	sleep_ms(1);
	note(']');
}

static void check_nesting(void)
{
	u32 both = BIT(SIGUSR1) | BIT(SIGUSR2);
	long ret;

	sigaction_simple(SIGUSR1, outer, 0, 0);
	sigaction_simple(SIGUSR2, inner, 0, 0);
	ret = kill(getpid(), SIGUSR1);
	check("a signal within a handler nests", logged("([])") && ret == 0);

	sigaction_simple(SIGUSR1, outer, 0, BIT(SIGUSR2));
	raise(SIGUSR1);
	check("a masked signal comes with the return from the handler", logged("()[]"));

	sigaction_simple(SIGUSR1, inner, 0, 0);
	syscall4(__NR_rt_sigprocmask, 0, (long)&both, 0, sizeof(both));
	raise(SIGUSR1);
	raise(SIGUSR2);
	note('-');
	syscall4(__NR_rt_sigprocmask, 1, (long)&both, 0, sizeof(both));
	check("two signals at once are both delivered", logged_either("-[][]", "-[[]]"));
}

static u32 depth;

static void recursive(int sig)
{
	note((char)('0' + depth));
	if (++depth < 5)
		raise(sig);
	note((char)('0' + --depth));
}

#define SA_NODEFER 0x40000000u

static void check_deep_nesting(void)
{
	sigaction_simple(SIGUSR1, recursive, SA_NODEFER, 0);
	raise(SIGUSR1);
	check("handlers nest five deep", logged("0123443210"));
}

static long main_tid;

static int interrupter(void *arg)
{
	(void)arg;
	sleep_ms(100);
	kill(main_tid, SIGUSR2);
	return 0;
}

static void check_interrupted_call(void)
{
	struct timespec ts = { 10, 0 }, rem = { 0, 0 };
	struct task t;
	long ret;

	main_tid = gettid();
	sigaction_simple(SIGUSR2, inner, 0, 0);
	if (task_start(&t, THREAD_FLAGS, interrupter, NULL) < 0)
		return;
	ret = syscall2(__NR_nanosleep, (long)&ts, (long)&rem);
	task_join(&t);
	check("a signal interrupts a sleep", ret == -EINTR && rem.tv_sec >= 9 && logged("[]"));
}

static long born_tid;

static void at_birth(int sig)
{
	(void)sig;
	born_tid = gettid();
	note('s');
}

static int born(void *arg)
{
	(void)arg;
	note('c');
	return born_tid == gettid() ? 0 : 1;
}

static void check_birth(void)
{
	struct task t;
	int status = 1 << 8;
	long pid;

	sigaction_simple(SIGUSR1, at_birth, 0, 0);
	syscall1(__NR_minik_hold, 1);
	pid = task_start(&t, PROCESS_FLAGS, born, NULL);
	kill(pid, SIGUSR1);
	syscall1(__NR_minik_hold, 0);
	wait4_status(pid, &status, 0);
	munmap(t.stack);
	check("a clone born with a signal handles it first", logged("sc") && status == 0);
}

void check_signals(void)
{
	check_nesting();
	check_deep_nesting();
	check_interrupted_call();
	check_birth();
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static char *const image_env[] = { "WHO=contract", NULL };

static int exec_image(void *name)
{
	char *argv[] = { "contract", "image", name, NULL };

	execve("/bin/contract", argv, image_env);
	return 99;
}

static void exec_last(int sig)
{
	(void)sig;
	exec_image("last");
}

static void raise_inner(int sig)
{
	(void)sig;
	raise(SIGUSR2);
}

/*
 * "plain" ends at once. "handler" starts "last" from a handler that runs inside another handler; "last" then takes a
 * signal itself, for which the kernel's and the user's stack have to be clean again.
 */
int run_image(const char *name)
{
	u32 none = 0;

	if (!strcmp(name, "plain"))
		return 11;
	if (!strcmp(name, "handler")) {
		sigaction_simple(SIGUSR1, raise_inner, 0, 0);
		sigaction_simple(SIGUSR2, exec_last, 0, 0);
		raise(SIGUSR1);
		return 98;
	}
	/* exec keeps the mask, and a handler's own signal is masked while it runs. */
	syscall4(__NR_rt_sigprocmask, 2, (long)&none, 0, sizeof(none));
	sigaction_simple(SIGUSR1, recursive, SA_NODEFER, 0);
	raise(SIGUSR1);
	return !strcmp(log, "0123443210") ? 22 : 97;
}

void check_exec(void)
{
	int status = 0;

	run_child(exec_image, "plain", &status);
	check("exec from a program", status == 11 << 8);
	run_child(exec_image, "handler", &status);
	check("exec from a handler inside a handler", status == 22 << 8);
}
