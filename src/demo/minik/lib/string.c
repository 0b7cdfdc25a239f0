/* SPDX-License-Identifier: Apache-2.0 */
/* Strings and blocks of bytes. The compiler turns the block operations into memory.copy and memory.fill. */
#include "kernel.h"

void *memcpy(void *d, const void *s, size_t n) { return __builtin_memcpy(d, s, n); }
void *memmove(void *d, const void *s, size_t n) { return __builtin_memmove(d, s, n); }
void *memset(void *d, int c, size_t n) { return __builtin_memset(d, c, n); }

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s; s++) {
		if (*s == (char)c)
			return (char *)s;
	}
	return NULL;
}

/* Copies and always terminates; the length of what was copied. */
size_t strscpy(char *d, const char *s, size_t size)
{
	size_t n = 0;

	if (!size)
		return 0;
	for (; n + 1 < size && s[n]; n++)
		d[n] = s[n];
	d[n] = 0;
	return n;
}

long simple_strtol(const char *s, const char **end)
{
	bool negative = *s == '-';
	long v = 0;

	if (negative)
		s++;
	while (*s >= '0' && *s <= '9')
		v = v * 10 + (*s++ - '0');
	if (end)
		*end = s;
	return negative ? -v : v;
}
