/* SPDX-License-Identifier: Apache-2.0 */
/* The shell's commands. */
#include "sh.h"

static int cat_path(const char *path)
{
	char buf[512];
	long fd = open(path, 0), n;

	if (fd < 0) {
		printf("cat: %s: error %d\n", path, (int)-fd);
		return 1;
	}
	while ((n = read((int)fd, buf, sizeof(buf))) > 0)
		putbytes(1, buf, (size_t)n);
	close((int)fd);
	return n < 0;
}

static int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (const struct builtin *b = builtins; b->name; b++)
		printf("  %-8s %s\n", b->name, b->help);
	printf("  other names are programs in /bin; a | b is a pipe, a & runs in the background\n");
	return 0;
}

static int cmd_echo(int argc, char **argv)
{
	char line[256];
	int n = 0;

	for (int i = 1; i < argc; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%s", i > 1 ? " " : "", argv[i]);
	printf("%s\n", line + (n ? 0 : (line[0] = 0)));
	return 0;
}

static int cmd_cat(int argc, char **argv)
{
	char buf[512];
	long n;
	int ret = 0;

	for (int i = 1; i < argc; i++)
		ret |= cat_path(argv[i]);
	if (argc == 1) {
		while ((n = read(0, buf, sizeof(buf))) > 0)
			putbytes(1, buf, (size_t)n);
	}
	return ret;
}

/* Lines, words and bytes of the input. */
static int cmd_wc(int argc, char **argv)
{
	char buf[256];
	int lines = 0, words = 0, bytes = 0;
	bool in_word = false;
	long n;

	(void)argc;
	(void)argv;
	while ((n = read(0, buf, sizeof(buf))) > 0) {
		bytes += n;
		for (long i = 0; i < n; i++) {
			bool space = buf[i] == ' ' || buf[i] == '\n';

			lines += buf[i] == '\n';
			words += in_word && space;
			in_word = !space;
		}
	}
	printf("%d %d %d\n", lines, words + in_word, bytes);
	return 0;
}

static int cmd_ps(int argc, char **argv) { (void)argc; (void)argv; return cat_path("/proc/tasks"); }
static int cmd_uptime(int argc, char **argv) { (void)argc; (void)argv; return cat_path("/proc/uptime"); }
static int cmd_dmesg(int argc, char **argv) { (void)argc; (void)argv; return cat_path("/proc/kmsg"); }

static int cmd_ls(int argc, char **argv)
{
	long fd = open(argc > 1 ? argv[1] : "/", 0), n;
	char line[64];

	if (fd < 0) {
		printf("ls: error %d\n", (int)-fd);
		return 1;
	}
	while ((n = syscall3(__NR_getdents64, fd, (long)line, sizeof(line))) > 0)
		putbytes(1, line, (size_t)n);
	close((int)fd);
	return 0;
}

static int cmd_sleep(int argc, char **argv)
{
	sleep_ms(argc > 1 ? (u32)simple_strtol(argv[1], NULL) * 1000 : 1000);
	return 0;
}

static int cmd_kill(int argc, char **argv)
{
	int sig = SIGTERM;
	long ret;

	if (argc > 2 && argv[1][0] == '-')
		sig = (int)simple_strtol(argv[1] + 1, NULL);
	if (argc < 2)
		return 1;
	ret = kill(simple_strtol(argv[argc - 1], NULL), sig);
	if (ret)
		printf("kill: error %d\n", (int)-ret);
	return ret != 0;
}

static int cmd_write(int argc, char **argv)
{
	long fd;

	if (argc < 3)
		return 1;
	fd = open(argv[1], 0101);
	if (fd < 0) {
		printf("write: error %d\n", (int)-fd);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		putbytes((int)fd, argv[i], strlen(argv[i]));
		putbytes((int)fd, "\n", 1);
	}
	close((int)fd);
	return 0;
}

static noinline int recurse(int n) { return n == -1 ? 0 : recurse(n + 1) * 3 + 1; }

static int cmd_crash(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "unreachable";
	volatile int zero = 0, one = 1;
	/* By way of memory: the compiler would make an adapter for a type that does not fit. */
	void *volatile other_type = (void *)cmd_help;

	if (!strcmp(kind, "unreachable"))
		__builtin_trap();
	if (!strcmp(kind, "div0"))
		return one / zero;
	if (!strcmp(kind, "oob"))
		return *(volatile int *)0xfffffff0ul;
	if (!strcmp(kind, "badcall"))
		return ((int (*volatile)(void))0x7fffffff)();
	if (!strcmp(kind, "wrongtype"))
		return ((int (*)(int))other_type)(1);
	if (!strcmp(kind, "stackoverflow"))
		return recurse(zero);
	printf("crash: unreachable, div0, oob, badcall, wrongtype or stackoverflow\n");
	return 1;
}

static int sysrq(const char *word)
{
	long fd = open("/proc/sysrq-trigger", 1), ret;

	if (fd < 0)
		return 1;
	ret = syscall3(__NR_write, fd, (long)word, (long)strlen(word));
	close((int)fd);
	if (ret < 0)
		printf("error %d\n", (int)-ret);
	return ret < 0;
}

static int cmd_ktrap(int argc, char **argv) { return sysrq(argc > 1 ? argv[1] : "unreachable"); }
static int cmd_panic(int argc, char **argv) { (void)argc; (void)argv; return sysrq("panic"); }
static int cmd_trace(int argc, char **argv) { (void)argc; (void)argv; return sysrq("trace"); }

static int cmd_cpu(int argc, char **argv)
{
	char word[32];

	if (argc < 3) {
		printf("cpu up|down N\n");
		return 1;
	}
	snprintf(word, sizeof(word), "cpu-%s=%s", argv[1], argv[2]);
	return sysrq(word);
}

static int cmd_random(int argc, char **argv)
{
	u32 v[4];

	(void)argc;
	(void)argv;
	if (syscall3(__NR_getrandom, (long)v, sizeof(v), 0) != sizeof(v))
		return 1;
	printf("%08x %08x %08x %08x\n", v[0], v[1], v[2], v[3]);
	return 0;
}

static int cmd_spin(int argc, char **argv)
{
	u64 end = now_us() + (argc > 1 ? (u64)simple_strtol(argv[1], NULL) : 1) * 1000000;

	while (now_us() < end) {
	}
	return 0;
}

static int cmd_uname(int argc, char **argv)
{
	char buf[80];

	(void)argc;
	(void)argv;
	syscall2(__NR_uname, (long)buf, sizeof(buf));
	printf("%s\n", buf);
	return 0;
}

static int cmd_exec(int argc, char **argv)
{
	char path[64];
	long ret;

	if (argc < 2)
		return 1;
	snprintf(path, sizeof(path), "%s%s", argv[1][0] == '/' ? "" : "/bin/", argv[1]);
	ret = execve(path, argv + 1, NULL);
	printf("exec: %s: error %d\n", path, (int)-ret);
	return 1;
}

static int cmd_exit(int argc, char **argv)
{
	exit(argc > 1 ? (int)simple_strtol(argv[1], NULL) : 0);
}

const struct builtin builtins[] = {
	{ "help", cmd_help, false, "this list" },
	{ "echo", cmd_echo, false, "its arguments" },
	{ "cat", cmd_cat, false, "files, or the input" },
	{ "wc", cmd_wc, false, "lines, words and bytes of the input" },
	{ "ls", cmd_ls, false, "a directory" },
	{ "write", cmd_write, false, "FILE WORD...: lines into a file" },
	{ "ps", cmd_ps, false, "tasks" },
	{ "uptime", cmd_uptime, false, "time since boot" },
	{ "uname", cmd_uname, false, "the system's name" },
	{ "dmesg", cmd_dmesg, false, "the kernel's log" },
	{ "sleep", cmd_sleep, false, "seconds" },
	{ "spin", cmd_spin, false, "seconds, without sleeping" },
	{ "random", cmd_random, false, "random numbers" },
	{ "kill", cmd_kill, true, "[-SIGNAL] PID" },
	{ "crash", cmd_crash, false, "KIND: a trap in user code" },
	{ "ktrap", cmd_ktrap, false, "KIND: a trap in the kernel" },
	{ "panic", cmd_panic, false, "a kernel panic" },
	{ "trace", cmd_trace, false, "what the CPUs run" },
	{ "cpu", cmd_cpu, false, "up|down N" },
	{ "exec", cmd_exec, true, "PROGRAM...: in place of the shell" },
	{ "exit", cmd_exit, true, "[CODE]" },
	{ NULL, NULL, false, NULL },
};
