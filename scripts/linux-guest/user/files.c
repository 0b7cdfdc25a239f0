// SPDX-License-Identifier: Apache-2.0
/* Commands about files and text. */
#include "box.h"

int copy_fd(int from, int to)
{
	char buf[4096];
	long n;

	while ((n = read(from, buf, sizeof(buf))) > 0) {
		if (putbytes(to, buf, (size_t)n))
			return 1;
	}
	return n < 0;
}

/* Runs a function on each of the files named, or on standard input. */
static int for_files(int argc, char **argv, int first, int (*fn)(int fd, const char *name, void *arg), void *arg)
{
	int ret = 0;

	if (argc <= first)
		return fn(0, NULL, arg);
	for (int i = first; i < argc; i++) {
		long fd = open(argv[i], O_RDONLY);

		if (fd < 0) {
			ret = complain(argv[0], argv[i], fd);
			continue;
		}
		ret |= fn((int)fd, argv[i], arg);
		close((int)fd);
	}
	return ret;
}

static int cat_fd(int fd, const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return copy_fd(fd, 1);
}

int cat_main(int argc, char **argv)
{
	return for_files(argc, argv, 1, cat_fd, NULL);
}

/* Calls fn for each line, with its end cut off. */
static int for_lines(int fd, bool (*fn)(char *line, void *arg), void *arg)
{
	char buf[4096];
	size_t have = 0;
	long n;

	while ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		char *line = buf, *end;

		have += (size_t)n;
		buf[have] = 0;
		while ((end = strchr(line, '\n'))) {
			*end = 0;
			if (!fn(line, arg))
				return 0;
			line = end + 1;
		}
		have = strlen(line);
		/* A line that does not fit is cut in two. */
		if (have == sizeof(buf) - 1) {
			if (!fn(line, arg))
				return 0;
			have = 0;
		}
		memcpy(buf, line, have);
	}
	if (have)
		fn(buf, arg);
	return n < 0;
}

struct grep {
	const char *what;
	int found;
};

static bool grep_line(char *line, void *arg)
{
	struct grep *g = arg;

	if (strstr(line, g->what)) {
		printf("%s\n", line);
		g->found++;
	}
	return true;
}

static int grep_fd(int fd, const char *name, void *arg)
{
	(void)name;
	return for_lines(fd, grep_line, arg);
}

int grep_main(int argc, char **argv)
{
	struct grep g = { argc > 1 ? argv[1] : "", 0 };
	int ret = for_files(argc, argv, 2, grep_fd, &g);

	return ret ? 2 : !g.found;
}

static bool head_line(char *line, void *arg)
{
	long *left = arg;

	if (*left <= 0)
		return false;
	printf("%s\n", line);
	return --*left > 0;
}

static int head_fd(int fd, const char *name, void *arg)
{
	long left = *(long *)arg;

	(void)name;
	return for_lines(fd, head_line, &left);
}

int head_main(int argc, char **argv)
{
	long n = 10;
	int first = 1;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		n = strtol10(argv[2], NULL);
		first = 3;
	}
	return for_files(argc, argv, first, head_fd, &n);
}

static int wc_fd(int fd, const char *name, void *arg)
{
	char buf[4096];
	unsigned int lines = 0, words = 0, bytes = 0;
	bool in_word = false;
	long n;

	(void)arg;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (long i = 0; i < n; i++) {
			bool space = buf[i] == ' ' || buf[i] == '\n' || buf[i] == '\t';

			lines += buf[i] == '\n';
			words += !space && !in_word;
			in_word = !space;
		}
		bytes += (unsigned int)n;
	}
	printf("%u %u %u%s%s\n", lines, words, bytes, name ? " " : "", name ? name : "");
	return n < 0;
}

int wc_main(int argc, char **argv)
{
	return for_files(argc, argv, 1, wc_fd, NULL);
}

int echo_main(int argc, char **argv)
{
	char buf[1024];
	int n = 0;

	for (int i = 1; i < argc; i++)
		n += snprintf(buf + n, sizeof(buf) - (size_t)n, "%s%s", i > 1 ? " " : "", argv[i]);
	buf[n < (int)sizeof(buf) - 1 ? n++ : n - 1] = '\n';
	return putbytes(1, buf, (size_t)n);
}

int seq_main(int argc, char **argv)
{
	long n = argc > 1 ? strtol10(argv[1], NULL) : 0;

	for (long i = 1; i <= n; i++) {
		if (printf("%d\n", (int)i))
			return 1;
	}
	return 0;
}

int mkdir_main(int argc, char **argv)
{
	int ret = 0;

	for (int i = 1; i < argc; i++) {
		long err = syscall3(__NR_mkdirat, AT_FDCWD, argv[i], 0755);

		if (err < 0)
			ret = complain("mkdir", argv[i], err);
	}
	return ret;
}

int rm_main(int argc, char **argv)
{
	int ret = 0;

	for (int i = 1; i < argc; i++) {
		long err = syscall3(__NR_unlinkat, AT_FDCWD, argv[i], 0);

		if (err == -EISDIR)
			err = syscall3(__NR_unlinkat, AT_FDCWD, argv[i], AT_REMOVEDIR);
		if (err < 0)
			ret = complain("rm", argv[i], err);
	}
	return ret;
}

struct dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static void list_entry(int dir, const char *name, bool details)
{
	static const char kinds[16] = { '?', 'p', 'c', '?', 'd', '?', 'b', '?', '-', '?', 'l', '?', 's', '?', '?', '?' };
	struct statx st;

	if (!details) {
		printf("%s\n", name);
		return;
	}
	if (syscall5(__NR_statx, dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0)
		return;
	printf("%c%03x %2u %8u %s\n", kinds[st.stx_mode >> 12],
	       (st.stx_mode >> 6 & 7) << 8 | (st.stx_mode >> 3 & 7) << 4 | (st.stx_mode & 7), st.stx_nlink,
	       (unsigned int)st.stx_size, name);
}

static int list(const char *path, bool details)
{
	char buf[2048] __attribute__((aligned(8)));
	long fd = open(path, O_RDONLY | O_DIRECTORY), n;

	if (fd == -ENOTDIR) {
		list_entry(AT_FDCWD, path, details);
		return 0;
	}
	if (fd < 0)
		return complain("ls", path, fd);
	while ((n = syscall3(__NR_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent *d = (struct dirent *)(buf + at);

			if (d->name[0] != '.')
				list_entry((int)fd, d->name, details);
			at += d->reclen;
		}
	}
	close((int)fd);
	return n < 0 ? complain("ls", path, n) : 0;
}

int ls_main(int argc, char **argv)
{
	bool details = argc > 1 && !strcmp(argv[1], "-l");
	int ret = 0;

	if (argc == 1 + details)
		return list(".", details);
	for (int i = 1 + details; i < argc; i++)
		ret |= list(argv[i], details);
	return ret;
}
