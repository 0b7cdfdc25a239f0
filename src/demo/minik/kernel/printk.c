/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's log: a ring in memory, and the console. */
#include "kernel.h"
#include "sched.h"

#define LOG_BUF_LEN 32768

static char log_buf[LOG_BUF_LEN];
u32 log_end; /* bytes ever written */
bool console_quiet;
static bool at_line_start = true;
static DEFINE_RAW_SPINLOCK(logbuf_lock);

static void log_store(const char *s, u32 len)
{
	for (u32 i = 0; i < len; i++)
		log_buf[log_end++ % LOG_BUF_LEN] = s[i];
}

/* Copies log text from absolute position `pos` on; the caller advances by the result. */
u32 log_read(u32 pos, char *buf, u32 size)
{
	u32 n = 0;

	raw_spin_lock(&logbuf_lock);
	if (log_end - pos > LOG_BUF_LEN)
		pos = log_end - LOG_BUF_LEN;
	while (n < size && pos != log_end)
		buf[n++] = log_buf[pos++ % LOG_BUF_LEN];
	raw_spin_unlock(&logbuf_lock);
	return n;
}

noinline int printk(const char *fmt, ...)
{
	char line[512];
	int n = 0;
	bool locked = true;
	va_list ap;

	if (oops_in_progress)
		locked = raw_spin_trylock(&logbuf_lock);
	else
		raw_spin_lock(&logbuf_lock);
	if (at_line_start) {
		u64 us = local_clock() / 1000;

		n = snprintf(line, sizeof(line), "[%5lu.%06lu] ", (ulong)(us / 1000000), (ulong)(us % 1000000));
	}
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	at_line_start = n > 0 && line[n - 1] == '\n';
	log_store(line, (u32)n);
	if (locked)
		raw_spin_unlock(&logbuf_lock);
	if (!console_quiet || oops_in_progress)
		hvc_console_write(line, (u32)n);
	return n;
}
