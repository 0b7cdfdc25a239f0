/* SPDX-License-Identifier: Apache-2.0 */
/* A USB hub that comes and goes: its events are handled by a work item. */
#include "kernel.h"
#include "planted.h"
#include "workqueue.h"

#define HUB_NAME_LEN 56
#define HUB_ROUNDS 24

struct usb_hub {
	struct work_struct event_work;
	u32 port_status[4];
	u32 nr_events;
};

struct usb_log {
	char text[HUB_NAME_LEN];
};

static struct usb_log *last_log;

static void hub_event(struct work_struct *work)
{
	struct usb_hub *hub = container_of(work, struct usb_hub, event_work);

	set_worker_desc("usb_hub_wq");
	hub->nr_events++;
}

/* A line about a disconnected hub, padded with dashes. */
static noinline void usb_log_disconnect(u32 round)
{
	struct usb_log *log = kmalloc(sizeof(*log));
	int n;

	if (!log)
		return;
	memset(log->text, '-', sizeof(log->text));
	n = snprintf(log->text, sizeof(log->text), "usb-hub %u: disconnect", round);
	log->text[n] = '-';
	kfree(last_log);
	last_log = log;
}

/* BUG: frees the hub, whose work item may still be queued; cancelling the work first is what is missing. */
static noinline void hub_disconnect(struct usb_hub *hub, u32 round)
{
	kfree(hub);
	usb_log_disconnect(round);
}

static int hub_thread(void *unused)
{
	(void)unused;
	for (u32 round = 0; round < HUB_ROUNDS; round++) {
		struct usb_hub *hub = kzalloc(sizeof(*hub));

		if (!hub)
			return -ENOMEM;
		INIT_WORK(&hub->event_work, hub_event);
		queue_work_on(0, system_wq, &hub->event_work);
		/* The port settles; usually the event has been handled meanwhile. */
		udelay(get_random_u32() % 64);
		hub_disconnect(hub, round);
		schedule_timeout_idle(HZ / 2);
	}
	pr_info("usb: %u hubs came and went\n", HUB_ROUNDS);
	return 0;
}

void usbhub_init(void)
{
	_Static_assert(sizeof(struct usb_hub) > 32 && sizeof(struct usb_hub) <= 64, "the log line has another size class");
	kthread_run_on(hub_thread, NULL, driver_cpu(0), "hub_wq");
}
