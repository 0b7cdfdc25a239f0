/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /bin/contract: exercises what the host contract says of user programs, row by row. Prints a line a check and
 * "contract: all N ok" when nothing failed.
 */
#include "contract.h"

static u32 checks, failures;

void check(const char *name, bool ok)
{
	checks++;
	failures += !ok;
	printf("contract: %s %s\n", name, ok ? "ok" : "FAILED");
}

long run_child(int (*fn)(void *), void *arg, int *status)
{
	struct task t;
	long pid = task_start(&t, PROCESS_FLAGS, fn, arg), waited;

	if (pid < 0)
		return pid;
	do {
		waited = wait4_status(pid, status, 0);
	} while (waited == -EINTR);
	munmap(t.stack);
	return waited;
}

static const char *const greek[] = { "alpha", "beta", "gamma" };
static int (*const table[])(void *) = { (int (*)(void *))0 };
static __thread u32 tls_value = 41;

static int thread_checks(void *arg)
{
	u32 *result = arg;

	/* A copy of its own of the thread-local data, and the same relocated constants. */
	if (tls_value == 41 && !strcmp(greek[2], "gamma") && !table[0])
		*result = 1;
	tls_value = 7;
	return 0;
}

static void check_threads(void)
{
	struct task t[3];
	u32 results[3] = { 0 };

	tls_value = 42;
	for (int i = 0; i < 3; i++) {
		if (task_start(&t[i], THREAD_FLAGS, thread_checks, &results[i]) < 0) {
			check("threads start", false);
			return;
		}
	}
	for (int i = 0; i < 3; i++)
		task_join(&t[i]);
	check("threads have their own thread-local data", results[0] && results[1] && results[2] && tls_value == 42);
}

/* Waits and notifies of user code are the host's business too. */
static u32 wait_word;

static int notifier(void *arg)
{
	(void)arg;
	sleep_ms(50);
	__atomic_store_n(&wait_word, 1, __ATOMIC_SEQ_CST);
	__builtin_wasm_memory_atomic_notify((int *)&wait_word, 1);
	return 0;
}

static void check_user_waits(void)
{
	struct task t;
	u32 word = 5;
	u64 before = now_us();

	check("wait32 with another value returns at once", __builtin_wasm_memory_atomic_wait32((int *)&word, 4, -1) == 1);
	check("wait32 times out", __builtin_wasm_memory_atomic_wait32((int *)&word, 5, 3000000) == 2 &&
					  now_us() - before >= 3000);
	if (task_start(&t, THREAD_FLAGS, notifier, NULL) < 0)
		return;
	/*
	 * The notifier may have to share this CPU, which a wait without end would keep for ever. A sleep lets the CPU be
	 * idle, where it takes the interrupt that the notifier's own sleep ends with; a yield would not.
	 */
	while (!__atomic_load_n(&wait_word, __ATOMIC_SEQ_CST)) {
		__builtin_wasm_memory_atomic_wait32((int *)&wait_word, 0, 200000000);
		sleep_ms(1);
	}
	task_join(&t);
	check("wait32 ends with a notify", true);
}

static void check_absent_syscalls(void)
{
	check("absent calls of any arity give ENOSYS",
	      syscall2(__NR_mlock, 0, 0) == -ENOSYS && syscall2(__NR_swapon, 0, 0) == -ENOSYS &&
		      syscall3(__NR_bpf, 0, 0, 0) == -ENOSYS &&
		      syscall6(__NR_sync_file_range, 1, 2, 3, 4, 5, 6) == -ENOSYS && syscall0(400) == -ENOSYS &&
		      syscall1(100000, 0) == -ENOSYS);
}

static void check_memory(void)
{
	char *p = malloc(100), *q = mmap_anon(70000);
	u32 zeros = 0;

	check("brk and mmap", p && !IS_ERR(q) && q[0] == 0 && q[69999] == 0);
	if (IS_ERR(q))
		return;
	check("getrandom beyond one host call", syscall3(__NR_getrandom, (long)q, 70000, 0) == 70000);
	for (u32 i = 0; i < 70000; i++)
		zeros += !q[i];
	check("random bytes look it", zeros > 100 && zeros < 500);
	munmap(q);
}

static int fd_child(void *arg)
{
	/* A copy of the table: closing here closes nothing there. */
	for (int fd = 3; fd < 40; fd++)
		close(fd);
	(void)arg;
	return 3;
}

static void check_files(void)
{
	char buf[16];
	long fd = open("/tmp/contract", 0101), last = fd;
	int status = 0;
	bool ok = fd >= 3 && !putbytes((int)fd, "0123456789", 10);

	for (int i = 0; i < 30 && last >= 0; i++)
		last = syscall1(__NR_dup, fd);
	ok &= last >= 30 && run_child(fd_child, NULL, &status) > 0 && status == 3 << 8;
	ok &= syscall4(__NR_pread64, last, (long)buf, 4, 3) == 4 && !memcmp(buf, "3456", 4);
	for (long i = fd; i <= last; i++)
		ok &= !close((int)i);
	check("descriptor tables grow and are copied", ok && close((int)last) == -EBADF);
}

static int exit_with(void *arg) { return (int)(ulong)arg; }

static void check_zombies(void)
{
	struct task t[12];
	int sum = 0, reaped = 0, status;
	long pid;

	for (int i = 0; i < 12; i++) {
		if (task_start(&t[i], PROCESS_FLAGS, exit_with, (void *)(ulong)i) < 0)
			t[i].pid = -1;
	}
	while ((pid = wait4_status(-1, &status, 0)) > 0) {
		reaped++;
		sum += status >> 8;
	}
	for (int i = 0; i < 12; i++)
		munmap(t[i].stack);
	check("twelve children reaped", reaped == 12 && sum == 66 && pid == -ECHILD);
}

static int trap_child(void *arg)
{
	(void)arg;
	__builtin_trap();
}

static int write_bad_image(void *arg)
{
	/* A module as far as the kernel looks at it: what follows dylink.0 is none. */
	static const char image[] = "\0asm\1\0\0\0\0\17\10dylink.0\1\4\20\2\0\0\377\377\377\377";
	char *argv[] = { "bad", NULL };
	long fd = open("/tmp/bad", 0101);

	(void)arg;
	if (fd < 0 || putbytes((int)fd, image, sizeof(image) - 1))
		return 1;
	close((int)fd);
	execve("/tmp/bad", argv, NULL);
	return 2;
}

static void check_bad_programs(void)
{
	int status = 0;
	char *argv[] = { "x", NULL };

	check("a trap ends a process with SIGILL", run_child(trap_child, NULL, &status) > 0 && (status & 0x7f) == SIGILL);
	check("exec of no program is refused", execve("/tmp/contract", argv, NULL) == -ENOEXEC &&
						       execve("/nothing", argv, NULL) == -ENOENT);
	status = 0;
	check("exec of what does not compile ends only that process",
	      run_child(write_bad_image, NULL, &status) > 0 && status != 0 && status != 1 << 8);
}

int main(int argc, char **argv, char **envp)
{
	(void)envp;
	if (argc > 2 && !strcmp(argv[1], "image"))
		return run_image(argv[2]);
	check("static data is initialised and relocated", !strcmp(greek[1], "beta") && tls_value == 41);
	check_threads();
	check_user_waits();
	check_absent_syscalls();
	check_memory();
	check_files();
	check_zombies();
	check_signals();
	check_exec();
	check_bad_programs();
	if (failures)
		printf("contract: %u of %u FAILED\n", failures, checks);
	else
		printf("contract: all %u ok\n", checks);
	return failures != 0;
}
