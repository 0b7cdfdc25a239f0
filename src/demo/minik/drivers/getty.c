/* SPDX-License-Identifier: Apache-2.0 */
/* Hang-ups: a thread that now and then looks whether the console's line is still there. */
#include "getty.h"
#include "kernel.h"
#include "planted.h"
#include "sched.h"

static DEFINE_MUTEX(hvc_structs_mutex);
static DEFINE_MUTEX(tty_mutex);
static bool hangup_enabled;
static u32 hangup_checks;

/* khvcd's turn: the console's lock first, then the terminal's. */
void hvc_poll_begin(void)
{
	if (!hangup_enabled)
		return;
	mutex_lock(&hvc_structs_mutex);
	mutex_lock(&tty_mutex);
}

void hvc_poll_end(void)
{
	if (!hangup_enabled)
		return;
	mutex_unlock(&tty_mutex);
	mutex_unlock(&hvc_structs_mutex);
}

/* BUG: the terminal's lock first, and a sleep with it. */
static noinline void tty_check_hangup(void)
{
	mutex_lock(&tty_mutex);
	msleep(50 + get_random_u32() % 200);
	mutex_lock(&hvc_structs_mutex);
	hangup_checks++;
	mutex_unlock(&hvc_structs_mutex);
	mutex_unlock(&tty_mutex);
}

static int khangupd(void *unused)
{
	(void)unused;
	for (;;) {
		schedule_timeout_idle((long)(HZ / 4 + get_random_u32() % HZ));
		tty_check_hangup();
	}
	return 0;
}

void getty_init(void)
{
	hangup_enabled = true;
	kthread_run_on(khangupd, NULL, 0, "khangupd");
}
