// SPDX-License-Identifier: Apache-2.0
/* Commands about processes and the system. */
#include "box.h"
#include <linux/reboot.h>
#include <linux/utsname.h>

int true_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int false_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 1;
}

int sleep_main(int argc, char **argv)
{
	const char *rest = "";
	unsigned long ms = argc > 1 ? (unsigned long)strtol10(argv[1], &rest) * 1000 : 0;

	/* Tenths are enough. */
	if (*rest == '.' && rest[1])
		ms += (unsigned long)(rest[1] - '0') * 100;
	sleep_ms(ms);
	return 0;
}

int kill_main(int argc, char **argv)
{
	int sig = SIGTERM, first = 1, ret = 0;

	if (argc > 1 && argv[1][0] == '-') {
		sig = (int)strtol10(argv[1] + 1, NULL);
		first = 2;
	}
	for (int i = first; i < argc; i++) {
		long err = kill(strtol10(argv[i], NULL), sig);

		if (err < 0)
			ret = complain("kill", argv[i], err);
	}
	return ret;
}

long slurp(const char *path, char *buf, size_t size)
{
	long fd = open(path, O_RDONLY), n, have = 0;

	if (fd < 0)
		return fd;
	while ((n = read((int)fd, buf + have, size - 1 - (size_t)have)) > 0)
		have += n;
	close((int)fd);
	buf[have] = 0;
	return have;
}

struct dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static void show_process(const char *pid)
{
	char path[64], stat[512], *name, *end;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if (slurp(path, stat, sizeof(stat)) <= 0)
		return;
	/* PID (COMM) STATE PPID ...: COMM may hold anything, so look for the last bracket. */
	name = strchr(stat, '(');
	end = stat + strlen(stat);
	while (name && end > name && *end != ')')
		end--;
	if (!name || end == name)
		return;
	*end = 0;
	printf("%5s %c %5d %s\n", pid, end[2], (int)strtol10(end + 4, NULL), name + 1);
}

int ps_main(int argc, char **argv)
{
	char buf[2048] __attribute__((aligned(8)));
	long fd = open("/proc", O_RDONLY | O_DIRECTORY), n;

	(void)argc;
	(void)argv;
	if (fd < 0)
		return complain("ps", "/proc", fd);
	printf("  PID S  PPID COMMAND\n");
	while ((n = syscall3(__NR_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent *d = (struct dirent *)(buf + at);

			if (d->name[0] >= '0' && d->name[0] <= '9')
				show_process(d->name);
			at += d->reclen;
		}
	}
	return n < 0;
}

int mount_main(int argc, char **argv)
{
	char buf[2048];
	long ret;

	if (argc == 1) {
		ret = slurp("/proc/mounts", buf, sizeof(buf));
		return ret < 0 ? complain("mount", "/proc/mounts", ret) : putbytes(1, buf, (size_t)ret);
	}
	if (argc != 5 || strcmp(argv[1], "-t"))
		return complain("mount", "usage: mount -t TYPE SOURCE DIRECTORY", 0);
	ret = syscall5(__NR_mount, argv[3], argv[4], argv[2], 0, 0);
	return ret < 0 ? complain("mount", argv[4], ret) : 0;
}

int dmesg_main(int argc, char **argv)
{
	static char buf[1 << 16];
	long n = syscall3(__NR_syslog, 3, buf, sizeof(buf));

	(void)argc;
	(void)argv;
	return n < 0 ? complain("dmesg", "syslog", n) : putbytes(1, buf, (size_t)n);
}

int uptime_main(int argc, char **argv)
{
	char up[64], load[64];

	(void)argc;
	(void)argv;
	if (slurp("/proc/uptime", up, sizeof(up)) < 0 || slurp("/proc/loadavg", load, sizeof(load)) < 0)
		return complain("uptime", "/proc", 0);
	printf("up %d s, load %s", (int)strtol10(up, NULL), load);
	return 0;
}

int uname_main(int argc, char **argv)
{
	struct new_utsname u;

	(void)argc;
	(void)argv;
	syscall1(__NR_uname, &u);
	printf("%s %s %s %s\n", u.sysname, u.nodename, u.release, u.machine);
	return 0;
}

int halt_main(int argc, char **argv)
{
	long ret = syscall4(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_HALT, 0);

	(void)argc;
	(void)argv;
	return complain("halt", "reboot", ret);
}

/* Draws on the frame buffer of wkdbbug=user-write, and a bit more: over what the driver keeps behind it. */
static int draw_too_much(void)
{
	char text[64];
	const char *rest;
	volatile uint8_t *screen;
	long size;

	if (slurp("/proc/fb", text, sizeof(text)) <= 0)
		return complain("wild", "/proc/fb", 0);
	screen = (volatile uint8_t *)(unsigned long)strtol10(text, &rest);
	size = strtol10(rest + 1, NULL);
	for (long i = 0; i < size + 32; i++)
		screen[i] = 0xff;
	return 0;
}

/* For ever deeper: each handler needs room on the kernel's stack, too. */
static void interrupt_again(int sig)
{
	kill(getpid(), sig);
}

/* Does what a program must not: each of these ends in a trap or damage. */
int wild_main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	volatile uint32_t *p;

	if (!strcmp(how, "trap")) {
		__builtin_trap();
	} else if (!strcmp(how, "far")) {
		p = (volatile uint32_t *)0xfffffff0;
		*p = 1;
	} else if (!strcmp(how, "null")) {
		p = (volatile uint32_t *)16;
		asm volatile("" : "+r"(p));
		*p = 1;
		return 0;
	} else if (!strcmp(how, "spin")) {
		/* Never a system call again: this CPU is lost, nothing else. */
		for (volatile uint32_t turns = 0;; turns++)
			;
	} else if (!strcmp(how, "nest")) {
		sigaction(SIGUSR1, interrupt_again, SA_NODEFER, 0);
		interrupt_again(SIGUSR1);
	} else if (!strcmp(how, "fb")) {
		return draw_too_much();
	} else if (!strcmp(how, "badptr")) {
		/* The kernel's business to notice. */
		return (int)-syscall3(__NR_write, 1, 16, 4) == EFAULT ? 0 : 1;
	}
	return complain("wild", "trap, far, null, spin, nest, fb or badptr", 0);
}
