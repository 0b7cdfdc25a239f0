/* SPDX-License-Identifier: Apache-2.0 */
/* The real-time clock: an alarm every few seconds, on a whole second. */
#include "kernel.h"
#include "planted.h"
#include "sched.h"

#define NSEC_PER_SEC 1000000000u
#define RTC_INTERVAL (5 * HZ)

struct rtc_device {
	u32 alarm;
	/* The wheel's clock, to see how late alarms are. Not ours to write. */
	u32 *wheel_clk;
	struct timer_list timer;
	u32 alarms;
};

static struct rtc_device rtc;

/* Rounds a time up to a whole step. */
static noinline void rtc_align(u32 *when, u32 step)
{
	*when += step - *when % step;
}

/*
 * BUG: aligns the wheel's clock where it means the alarm, and by nanoseconds where it means jiffies: the clock lies
 * years ahead of jiffies then, and no timer of this CPU is due before.
 */
static noinline void rtc_set_next_alarm(struct rtc_device *dev)
{
	dev->alarm = *dev->wheel_clk + RTC_INTERVAL;
	rtc_align(dev->wheel_clk, NSEC_PER_SEC);
	mod_timer(&dev->timer, dev->alarm);
}

static void rtc_alarm(struct timer_list *t)
{
	struct rtc_device *dev = container_of(t, struct rtc_device, timer);

	dev->alarms++;
	rtc_set_next_alarm(dev);
}

void rtc_init(void)
{
	rtc.wheel_clk = &per_cpu(timer_bases[0], 0).clk;
	timer_setup(&rtc.timer, rtc_alarm, TIMER_PINNED);
	mod_timer(&rtc.timer, jiffies + RTC_INTERVAL);
	pr_info("rtc: alarm every %d s\n", RTC_INTERVAL / HZ);
}
