/* SPDX-License-Identifier: Apache-2.0 */
/* The console on the host: output at once, input by polling with a back-off. */
#include "fs.h"
#include "getty.h"
#include "kernel.h"
#include "sched.h"

#define HVC_MIN_TIMEOUT 10 /* ms */
#define HVC_MAX_TIMEOUT 2000
#define N_OUTBUF 128

static DEFINE_RAW_SPINLOCK(hvc_lock);
__used struct task_struct *hvc_task;
__used u32 hvc_timeout = HVC_MIN_TIMEOUT;

/* The host may take fewer bytes than offered, or none for a while. */
static noinline void hvc_push(const char *buf, u32 n)
{
	u32 tries = 0;

	while (n && tries < 1000) {
		int taken = wasm_driver_hvc_put(buf, n);

		if (taken <= 0) {
			tries++;
			udelay(100);
			continue;
		}
		tries = 0;
		buf += taken;
		n -= min((u32)taken, n);
	}
}

noinline void hvc_console_write(const char *buf, u32 len)
{
	char out[N_OUTBUF];
	u32 n = 0;
	/* Whoever held the lock may never give it back once something is broken. */
	bool locked = oops_in_progress ? raw_spin_trylock(&hvc_lock) : (raw_spin_lock(&hvc_lock), true);

	for (u32 i = 0; i < len; i++) {
		if (buf[i] == '\n')
			out[n++] = '\r';
		out[n++] = buf[i];
		if (n >= N_OUTBUF - 2 || i + 1 == len) {
			hvc_push(out, n);
			n = 0;
		}
	}
	if (locked)
		raw_spin_unlock(&hvc_lock);
}

static noinline bool hvc_poll(void)
{
	char buf[64];
	int n = wasm_driver_hvc_get(buf, sizeof(buf));

	if (n <= 0)
		return false;
	tty_receive(buf, (u32)n);
	return true;
}

static int khvcd(void *unused)
{
	(void)unused;
	for (;;) {
		hvc_poll_begin();
		if (hvc_poll())
			hvc_timeout = HVC_MIN_TIMEOUT;
		else
			hvc_timeout = min(hvc_timeout * 2, HVC_MAX_TIMEOUT);
		hvc_poll_end();
		schedule_timeout_interruptible((long)msecs_to_jiffies(hvc_timeout));
	}
	return 0;
}

void hvc_init(void)
{
	hvc_task = kthread_run_on(khvcd, NULL, 0, "khvcd");
}
