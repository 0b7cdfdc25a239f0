// SPDX-License-Identifier: Apache-2.0
/* Strings and formatting: %c %s %d %u %x with l, ll, width, '-' and '0'. */
#include "libc.h"

void *memcpy(void *d, const void *s, size_t n)
{
	char *to = d;
	const char *from = s;

	while (n--)
		*to++ = *from++;
	return d;
}

void *memset(void *d, int c, size_t n)
{
	char *to = d;

	while (n--)
		*to++ = (char)c;
	return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n && *p == *q; n--, p++, q++)
		;
	return n ? *p - *q : 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--, a++, b++)
		;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

char *strstr(const char *s, const char *what)
{
	size_t n = strlen(what);

	for (; *s; s++) {
		if (!strncmp(s, what, n))
			return (char *)s;
	}
	return n ? NULL : (char *)s;
}

size_t strscpy(char *d, const char *s, size_t size)
{
	size_t n = 0;

	for (; n + 1 < size && s[n]; n++)
		d[n] = s[n];
	if (size)
		d[n] = 0;
	return n;
}

long strtol10(const char *s, const char **end)
{
	bool negative = *s == '-';
	long v = 0;

	for (s += negative; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	if (end)
		*end = s;
	return negative ? -v : v;
}

struct out {
	char *buf;
	size_t size, n;
};

struct spec {
	int width;
	bool left, zero;
};

static void put(struct out *o, char c)
{
	if (o->n + 1 < o->size)
		o->buf[o->n] = c;
	o->n++;
}

static void put_padded(struct out *o, const char *s, int len, const struct spec *sp)
{
	int pad = sp->width - len;

	if (!sp->left) {
		/* The sign goes before the zeros. */
		if (sp->zero && len && *s == '-') {
			put(o, *s++);
			len--;
		}
		for (; pad > 0; pad--)
			put(o, sp->zero ? '0' : ' ');
	}
	for (int i = 0; i < len; i++)
		put(o, s[i]);
	for (; pad > 0; pad--)
		put(o, ' ');
}

static void put_number(struct out *o, uint64_t v, uint32_t base, bool negative, const struct spec *sp)
{
	char digits[24];
	int i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (negative)
		digits[--i] = '-';
	put_padded(o, digits + i, (int)sizeof(digits) - i, sp);
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };

	for (; *fmt; fmt++) {
		struct spec sp = { 0 };
		int longs = 0;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		for (fmt++; *fmt == '-' || *fmt == '0'; fmt++) {
			sp.left |= *fmt == '-';
			sp.zero |= *fmt == '0';
		}
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			sp.width = sp.width * 10 + (*fmt - '0');
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			longs += *fmt == 'l';
		switch (*fmt) {
		case 'd': {
			int64_t d = longs > 1 ? va_arg(ap, int64_t) : va_arg(ap, int);

			put_number(&o, d < 0 ? 0 - (uint64_t)d : (uint64_t)d, 10, d < 0, &sp);
			break;
		}
		case 'u':
		case 'x':
			put_number(&o, longs > 1 ? va_arg(ap, uint64_t) : va_arg(ap, uint32_t), *fmt == 'x' ? 16 : 10, false,
				   &sp);
			break;
		case 'c':
			put(&o, (char)va_arg(ap, int));
			break;
		case 's': {
			const char *s = va_arg(ap, const char *);

			s = s ? s : "(null)";
			put_padded(&o, s, (int)strlen(s), &sp);
			break;
		}
		case 0:
			fmt--;
			break;
		default:
			put(&o, *fmt);
		}
	}
	if (size)
		buf[o.n < size ? o.n : size - 1] = 0;
	/* What was stored, so that callers can append. */
	return (int)(o.n < size ? o.n : size ? size - 1 : 0);
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

int putbytes(int fd, const char *buf, size_t n)
{
	while (n) {
		long done = syscall3(__NR_write, fd, buf, n);

		if (done == -EINTR)
			continue;
		if (done <= 0)
			return -1;
		buf += done;
		n -= (size_t)done;
	}
	return 0;
}

int dprintf(int fd, const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return putbytes(fd, buf, (size_t)n);
}

int complain(const char *command, const char *what, long error)
{
	dprintf(2, "%s: %s: error %d\n", command, what, (int)(error < 0 ? -error : error));
	return 1;
}
