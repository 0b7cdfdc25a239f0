/* SPDX-License-Identifier: Apache-2.0 */
/* /bin/stress [N] [ROUNDS]: N threads that share a counter under a mutex, sleep, yield, open files and allocate. */
#include "libc.h"

static u32 lock, counter;
static __thread u32 mine;
static u32 rounds = 20;

static int worker(void *arg)
{
	u32 n = (u32)(ulong)arg;

	for (u32 i = 0; i < rounds; i++) {
		long fd;

		mutex_lock(&lock);
		counter++;
		mutex_unlock(&lock);
		mine++;
		fd = open("/dev/null", 1);
		if (fd >= 0) {
			putbytes((int)fd, "x", 1);
			close((int)fd);
		}
		if ((i + n) % 7 == 0)
			sleep_ms(10 + n % 5 * 10);
		else
			syscall0(__NR_sched_yield);
	}
	return mine == rounds ? 0 : 1;
}

int main(int argc, char **argv, char **envp)
{
	u32 n = argc > 1 ? (u32)simple_strtol(argv[1], NULL) : 4, started = 0;
	struct task *t = mmap_anon(sizeof(*t) * (n ? n : 1));

	(void)envp;
	if (argc > 2)
		rounds = (u32)simple_strtol(argv[2], NULL);
	if (IS_ERR(t))
		return 1;
	for (; started < n; started++) {
		if (task_start(&t[started], THREAD_FLAGS, worker, (void *)(ulong)started) < 0)
			break;
	}
	for (u32 i = 0; i < started; i++)
		task_join(&t[i]);
	printf("stress: %u threads, counter %u: %s\n", started, counter, counter == started * rounds ? "ok" : "WRONG");
	return counter != started * rounds;
}
