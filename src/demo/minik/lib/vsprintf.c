/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting: %c %s %d %u %x %p with l, ll, width, '-' and '0'. Shared by the kernel and its user programs. */
#include "kernel.h"

struct out {
	char *buf;
	size_t size, n;
};

static void put(struct out *o, char c)
{
	if (o->n + 1 < o->size)
		o->buf[o->n] = c;
	o->n++;
}

struct spec {
	int width;
	bool left, zero;
};

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

static void put_number(struct out *o, u64 v, u32 base, bool negative, const struct spec *sp)
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

static int text_length(const char *s)
{
	int n = 0;

	while (s[n])
		n++;
	return n;
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };

	for (; *fmt; fmt++) {
		struct spec sp = { 0 };
		int longs = 0;
		u64 v;

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
			s64 d = longs > 1 ? va_arg(ap, s64) : va_arg(ap, int);

			put_number(&o, d < 0 ? 0 - (u64)d : (u64)d, 10, d < 0, &sp);
			break;
		}
		case 'u':
		case 'x':
			v = longs > 1 ? va_arg(ap, u64) : va_arg(ap, u32);
			put_number(&o, v, *fmt == 'x' ? 16 : 10, false, &sp);
			break;
		case 'p':
			sp.width = 8;
			sp.zero = true;
			put_number(&o, (ulong)va_arg(ap, void *), 16, false, &sp);
			break;
		case 'c':
			put(&o, (char)va_arg(ap, int));
			break;
		case 's': {
			const char *s = va_arg(ap, const char *);

			if (!s)
				s = "(null)";
			put_padded(&o, s, text_length(s), &sp);
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
