// SPDX-License-Identifier: Apache-2.0
/* stress exec|clone|pipe|signal|thread|file|timer|crowd|all [N]: storms of one kind, each says how many it did. */
#include "box.h"

static int wait_ok(long pid)
{
	int status = -1;

	while (wait4(pid, &status, 0) == -EINTR)
		;
	return status == 0;
}

static int exec_true(void *unused)
{
	char *const argv[] = { "true", NULL };

	(void)unused;
	execve("/bin/true", argv, environment);
	return 127;
}

static long storm_exec(long n)
{
	long done = 0;

	for (long i = 0; i < n; i++) {
		struct task t;

		if (task_start(&t, CLONE_VM | CLONE_VFORK | SIGCHLD, exec_true, NULL) < 0)
			break;
		munmap(t.stack, TASK_STACK_SIZE);
		done += wait_ok(t.pid);
	}
	return done;
}

static int exit_with(void *code)
{
	return (int)(long)code;
}

static long storm_clone(long n)
{
	struct task t[16];
	long done = 0;

	while (done < n) {
		long batch = n - done < 16 ? n - done : 16, ok = 0;

		for (long i = 0; i < batch; i++) {
			if (task_start(&t[i], PROCESS_FLAGS, exit_with, (void *)0) < 0)
				return done;
		}
		for (long i = 0; i < batch; i++) {
			ok += wait_ok(t[i].pid);
			munmap(t[i].stack, TASK_STACK_SIZE);
		}
		done += ok;
		if (ok < batch)
			break;
	}
	return done;
}

struct pair {
	int to[2], back[2];
	long n;
};

static int echo_numbers(void *arg)
{
	struct pair *p = arg;
	uint32_t v;

	while (read(p->to[0], &v, sizeof(v)) == sizeof(v) && v) {
		v++;
		putbytes(p->back[1], (char *)&v, sizeof(v));
	}
	return 0;
}

static long storm_pipe(long n)
{
	struct pair p;
	struct task t;
	long done = 0;
	uint32_t v, zero = 0;

	if (pipe(p.to) < 0 || pipe(p.back) < 0 || task_start(&t, THREAD_FLAGS, echo_numbers, &p) < 0)
		return 0;
	for (uint32_t i = 1; i <= (uint32_t)n; i++) {
		putbytes(p.to[1], (char *)&i, sizeof(i));
		done += read(p.back[0], &v, sizeof(v)) == sizeof(v) && v == i + 1;
	}
	putbytes(p.to[1], (char *)&zero, sizeof(zero));
	task_join(&t);
	for (int i = 0; i < 2; i++) {
		close(p.to[i]);
		close(p.back[i]);
	}
	return done;
}

static uint32_t signals_seen;

static void count_signal(int sig)
{
	(void)sig;
	__atomic_fetch_add(&signals_seen, 1, __ATOMIC_SEQ_CST);
}

static long storm_signal(long n)
{
	signals_seen = 0;
	signal(SIGUSR1, count_signal);
	for (long i = 0; i < n; i++)
		kill(getpid(), SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	return (long)signals_seen;
}

struct shared {
	uint32_t lock;
	long counter, rounds;
};

static int add_up(void *arg)
{
	struct shared *s = arg;

	for (long i = 0; i < s->rounds; i++) {
		mutex_lock(&s->lock);
		s->counter++;
		mutex_unlock(&s->lock);
	}
	return 0;
}

static long storm_thread(long n)
{
	struct shared s = { 0, 0, n / 4 };
	struct task t[4];
	int started = 0;

	while (started < 4 && task_start(&t[started], THREAD_FLAGS, add_up, &s) >= 0)
		started++;
	for (int i = 0; i < started; i++)
		task_join(&t[i]);
	return s.counter + n % 4;
}

static long storm_file(long n)
{
	char path[32], buf[512], back[512];
	long done = 0;

	memset(buf, 'x', sizeof(buf));
	for (long i = 0; i < n; i++) {
		long fd;

		snprintf(path, sizeof(path), "/stress.%d.%d", (int)getpid(), (int)i);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL);
		if (fd < 0)
			break;
		putbytes((int)fd, buf, sizeof(buf));
		done += syscall5(__NR_pread64, fd, back, sizeof(back), 0, 0) == sizeof(back) && !memcmp(buf, back, sizeof(buf));
		close((int)fd);
		syscall3(__NR_unlinkat, AT_FDCWD, path, 0);
	}
	return done;
}

static long storm_timer(long n)
{
	long done = 0;

	for (long i = 0; i < n; i++) {
		uint64_t before = now_us();

		sleep_ms(1 + (unsigned long)i % 7);
		done += now_us() - before >= 1000 * (1 + (uint64_t)i % 7);
	}
	return done;
}

/* Alive, and asleep in the kernel, until the pipe's other end is closed. */
static int wait_for_the_end(void *arg)
{
	struct pair *p = arg;
	char c;

	/* A process has a table of files of its own. */
	close(p->to[1]);
	return read(p->to[0], &c, 1) == 0 ? 0 : 1;
}

static struct task *crowd;

/* As many processes at once; how many tasks there are then, the kernel's own too, the kernel says. */
static long storm_crowd(long n)
{
	char load[64];
	const char *all;
	struct pair p;
	long started = 0, done = 0;

	crowd = mmap_anon((size_t)n * sizeof(*crowd));
	if (IS_ERR(crowd) || pipe(p.to) < 0)
		return 0;
	while (started < n && task_start(&crowd[started], PROCESS_FLAGS, wait_for_the_end, &p) >= 0)
		started++;
	/* LOAD LOAD LOAD RUNNABLE/ALL LAST-PID */
	all = slurp("/proc/loadavg", load, sizeof(load)) > 0 ? strchr(load, '/') : NULL;
	printf("stress: %d tasks alive\n", all ? (int)strtol10(all + 1, NULL) : -1);
	close(p.to[1]);
	for (long i = 0; i < started; i++) {
		done += wait_ok(crowd[i].pid);
		munmap(crowd[i].stack, TASK_STACK_SIZE);
	}
	close(p.to[0]);
	munmap(crowd, (size_t)n * sizeof(*crowd));
	return done;
}

static const struct {
	const char *name;
	long (*run)(long n);
} storms[] = {
	{ "exec", storm_exec },     { "clone", storm_clone }, { "pipe", storm_pipe },   { "signal", storm_signal },
	{ "thread", storm_thread }, { "file", storm_file },   { "timer", storm_timer },
	{ "crowd", storm_crowd },
};

int stress_main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "all";
	long n = argc > 2 ? strtol10(argv[2], NULL) : 20;
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(storms); i++) {
		long done;

		if (strcmp(kind, "all") && strcmp(kind, storms[i].name))
			continue;
		done = storms[i].run(n);
		printf("stress: %s %d of %d\n", storms[i].name, (int)done, (int)n);
		failed |= done != n;
	}
	return failed;
}
