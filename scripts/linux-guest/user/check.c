// SPDX-License-Identifier: Apache-2.0
/* check [NAME]: what the kernel promises about signals, timers and files, each promise by its name. */
#include "box.h"
#include <linux/eventpoll.h>
#include <linux/poll.h>
#include <linux/timerfd.h>

/* What the handlers did, in order. */
static char trace[128];
static uint32_t trace_length;

static void note(char what)
{
	if (trace_length < sizeof(trace) - 1)
		trace[trace_length++] = what;
}

static bool traced(const char *expected)
{
	bool same;

	trace[trace_length] = 0;
	same = !strcmp(trace, expected);
	trace_length = 0;
	return same;
}

static void on_alarm(int sig)
{
	(void)sig;
	note('a');
}

static void on_usr2(int sig)
{
	(void)sig;
	note('2');
	kill(getpid(), SIGALRM);
	note(')');
}

static void on_usr1(int sig)
{
	(void)sig;
	note('1');
	kill(getpid(), SIGUSR2);
	note(']');
}

/* A handler is interrupted by another signal's, and goes on after it. */
static bool check_nest(void)
{
	signal(SIGUSR1, on_usr1);
	signal(SIGUSR2, on_usr2);
	signal(SIGALRM, on_alarm);
	kill(getpid(), SIGUSR1);
	return traced("12a)]");
}

/* While a handler runs, what its mask names waits. */
static bool check_mask(void)
{
	uint64_t usr2 = 1ull << (SIGUSR2 - 1), old = 0;

	signal(SIGALRM, on_alarm);
	signal(SIGUSR2, on_usr2);
	sigaction(SIGUSR1, on_usr1, 0, usr2);
	kill(getpid(), SIGUSR1);
	if (!traced("1]2a)"))
		return false;
	/* The same for a mask of the program's own. */
	syscall4(__NR_rt_sigprocmask, SIG_BLOCK, &usr2, &old, sizeof(old));
	kill(getpid(), SIGUSR2);
	if (!traced("") || old)
		return false;
	syscall4(__NR_rt_sigprocmask, SIG_SETMASK, &old, 0, sizeof(old));
	return traced("2a)");
}

static void deeper(int sig)
{
	note('<');
	if (trace_length < 5)
		kill(getpid(), sig);
	note('>');
}

/* A handler may interrupt itself, where it asked for that. */
static bool check_recursion(void)
{
	sigaction(SIGUSR1, deeper, SA_NODEFER, 0);
	kill(getpid(), SIGUSR1);
	return traced("<<<<<>>>>>");
}

static long alarm_in(unsigned long first_ms, unsigned long then_ms)
{
	struct __kernel_itimerspec when = {
		{ then_ms / 1000, (long)(then_ms % 1000) * 1000000 }, { first_ms / 1000, (long)(first_ms % 1000) * 1000000 },
	};
	int timer;

	/* Without a sigevent it is SIGALRM. */
	if (syscall3(__NR_timer_create, 1, 0, &timer) < 0)
		return -1;
	return syscall4(__NR_timer_settime64, timer, 0, &when, 0) < 0 ? -1 : timer;
}

static int alarm_pipe;

static void write_on_alarm(int sig)
{
	on_alarm(sig);
	putbytes(alarm_pipe, "x", 1);
}

/* A call that a signal interrupts ends, or goes on, as the handler was set up. */
static bool check_restart(void)
{
	int fds[2];
	char c = 0;
	long timer, got;

	if (pipe(fds) < 0)
		return false;
	signal(SIGALRM, on_alarm);
	timer = alarm_in(30, 0);
	got = read(fds[0], &c, 1);
	syscall1(__NR_timer_delete, timer);
	if (got != -EINTR || !traced("a"))
		return false;
	alarm_pipe = fds[1];
	sigaction(SIGALRM, write_on_alarm, SA_RESTART, 0);
	timer = alarm_in(30, 0);
	got = read(fds[0], &c, 1);
	syscall1(__NR_timer_delete, timer);
	close(fds[0]);
	close(fds[1]);
	return got == 1 && c == 'x' && traced("a");
}

static char alternative[8192] __attribute__((aligned(16)));
static unsigned long handler_stack;

static void where(int sig)
{
	char here[16];

	(void)sig;
	asm volatile("" : : "r"(here) : "memory");
	handler_stack = (unsigned long)here;
}

/* A handler runs on the stack that it was given. */
static bool check_altstack(void)
{
	stack_t stack = { .ss_sp = alternative, .ss_size = sizeof(alternative) }, off = { .ss_flags = SS_DISABLE };
	bool on;

	if (syscall2(__NR_sigaltstack, &stack, 0) < 0)
		return false;
	sigaction(SIGUSR1, where, SA_ONSTACK, 0);
	kill(getpid(), SIGUSR1);
	on = handler_stack - (unsigned long)alternative < sizeof(alternative);
	signal(SIGUSR1, where);
	kill(getpid(), SIGUSR1);
	syscall2(__NR_sigaltstack, &off, 0);
	return on && handler_stack - (unsigned long)alternative >= sizeof(alternative);
}

static void exec_true(int sig)
{
	char *const argv[] = { "true", NULL };

	(void)sig;
	execve("/bin/true", argv, environment);
}

static int exec_in_handler(void *unused)
{
	(void)unused;
	signal(SIGUSR1, exec_true);
	kill(getpid(), SIGUSR1);
	return 1;
}

/* An exec leaves the handler that it is made in, and the call that this interrupted. */
static bool check_exec(void)
{
	struct task t;
	int status = -1;

	if (task_start(&t, CLONE_VM | CLONE_VFORK | SIGCHLD, exec_in_handler, NULL) < 0)
		return false;
	munmap(t.stack, TASK_STACK_SIZE);
	while (wait4(t.pid, &status, 0) == -EINTR)
		;
	return status == 0;
}

static uint32_t pinged;
static long pinged_tid;

static void on_ping(int sig)
{
	(void)sig;
	pinged_tid = syscall0(__NR_gettid);
	__atomic_store_n(&pinged, 1, __ATOMIC_SEQ_CST);
}

static int wait_for_ping(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&pinged, __ATOMIC_SEQ_CST))
		sleep_ms(1000);
	return 0;
}

/* A signal to a thread is that thread's. */
static bool check_thread(void)
{
	struct task t;

	pinged = 0;
	signal(SIGUSR1, on_ping);
	if (task_start(&t, THREAD_FLAGS | CLONE_SYSVSEM, wait_for_ping, NULL) < 0)
		return false;
	sleep_ms(10);
	syscall3(__NR_tgkill, getpid(), t.pid, SIGUSR1);
	task_join(&t);
	return pinged_tid == t.pid;
}

static int sleep_long(void *unused)
{
	(void)unused;
	sleep_ms(1000000);
	return 0;
}

/* A process stops, continues, and is killed. */
static bool check_stop(void)
{
	struct task t;
	struct { int signo, err, code, pid, uid, status; char rest[104]; } info = { 0 };
	bool good;

	if (task_start(&t, PROCESS_FLAGS, sleep_long, NULL) < 0)
		return false;
	kill(t.pid, SIGSTOP);
	syscall5(__NR_waitid, P_PID, t.pid, &info, WSTOPPED, 0);
	good = info.pid == t.pid && info.status == SIGSTOP;
	kill(t.pid, SIGCONT);
	syscall5(__NR_waitid, P_PID, t.pid, &info, WCONTINUED, 0);
	good = good && info.status == SIGCONT;
	kill(t.pid, SIGKILL);
	syscall5(__NR_waitid, P_PID, t.pid, &info, WEXITED, 0);
	munmap(t.stack, TASK_STACK_SIZE);
	return good && info.status == SIGKILL;
}

/* A timer's signals come at its interval, and an interrupted sleep says what is left. */
static bool check_timer(void)
{
	struct __kernel_timespec ts = { 10, 0 }, rest = { 0, 0 };
	uint64_t before = now_us();
	long timer;

	signal(SIGALRM, on_alarm);
	timer = alarm_in(20, 10);
	if (syscall4(__NR_clock_nanosleep_time64, 1, 0, &ts, &rest) != -EINTR || rest.tv_sec != 9)
		return false;
	while (trace_length < 5)
		sleep_ms(1000);
	syscall1(__NR_timer_delete, timer);
	return traced("aaaaa") && now_us() - before >= 60000 && now_us() - before < 1000000;
}

/* Descriptors that become readable: a timer's, an event's, and waiting for either. */
static bool check_poll(void)
{
	struct __kernel_itimerspec when = { { 0, 5000000 }, { 0, 5000000 } };
	struct __kernel_timespec limit = { 0, 20000000 };
	struct epoll_event event = { .events = EPOLLIN, .data = 7 }, got[2];
	long timer = syscall2(__NR_timerfd_create, 1, 0), counter = syscall2(__NR_eventfd2, 0, 0);
	long epoll = syscall1(__NR_epoll_create1, 0);
	struct pollfd poll = { (int)counter, POLLIN, 0 };
	uint64_t times = 0, add = 5;
	bool good;

	syscall4(__NR_timerfd_settime64, timer, 0, &when, 0);
	sleep_ms(26);
	good = read((int)timer, (char *)&times, sizeof(times)) == sizeof(times) && times >= 5;
	/* Nothing there yet: the time passes. */
	good = good && syscall5(__NR_ppoll_time64, &poll, 1, &limit, 0, 0) == 0;
	syscall4(__NR_epoll_ctl, epoll, EPOLL_CTL_ADD, counter, &event);
	putbytes((int)counter, (char *)&add, sizeof(add));
	good = good && syscall6(__NR_epoll_pwait, epoll, (long)got, 2, -1, 0, 0) == 1 && got[0].data == 7;
	good = good && read((int)counter, (char *)&times, sizeof(times)) == sizeof(times) && times == 5;
	close((int)timer);
	close((int)counter);
	close((int)epoll);
	return good;
}

/* A file has names, a size and contents, and stays until nobody has it. */
static bool check_file(void)
{
	static char buf[5000], back[5000];
	long fd = open("/tmp/check.a", O_RDWR | O_CREAT | O_EXCL);
	bool good = fd >= 0;

	memset(buf, 'f', sizeof(buf));
	putbytes((int)fd, buf, sizeof(buf));
	good = good && syscall5(__NR_linkat, AT_FDCWD, "/tmp/check.a", AT_FDCWD, "/tmp/check.b", 0) == 0;
	good = good && syscall5(__NR_renameat2, AT_FDCWD, "/tmp/check.a", AT_FDCWD, "/tmp/check.c", 0) == 0;
	good = good && open("/tmp/check.a", O_RDONLY) == -ENOENT;
	good = good && syscall3(__NR_symlinkat, "check.c", AT_FDCWD, "/tmp/check.s") == 0;
	good = good && syscall3(__NR_ftruncate64, fd, 4500, 0) == 0;
	syscall3(__NR_unlinkat, AT_FDCWD, "/tmp/check.b", 0);
	close((int)fd);
	fd = open("/tmp/check.s", O_RDONLY);
	syscall3(__NR_unlinkat, AT_FDCWD, "/tmp/check.c", 0);
	syscall3(__NR_unlinkat, AT_FDCWD, "/tmp/check.s", 0);
	good = good && read((int)fd, back, sizeof(back)) == 4500 && !memcmp(buf, back, 4500);
	close((int)fd);
	return good;
}

static const struct {
	const char *name;
	bool (*holds)(void);
} checks[] = {
	{ "nest", check_nest },	    { "mask", check_mask },   { "recursion", check_recursion }, { "restart", check_restart },
	{ "altstack", check_altstack }, { "exec", check_exec },   { "thread", check_thread },	{ "stop", check_stop },
	{ "timer", check_timer },   { "poll", check_poll },   { "file", check_file },
};

int check_main(int argc, char **argv)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		bool holds;

		if (argc > 1 && strcmp(argv[1], checks[i].name))
			continue;
		holds = checks[i].holds();
		printf("check: %s %s\n", checks[i].name, holds ? "holds" : "does not hold");
		failed |= !holds;
	}
	return failed;
}
