/* SPDX-License-Identifier: Apache-2.0 */
/* Input events: keys that repeat while they are held. */
#include "kernel.h"
#include "planted.h"
#include "workqueue.h"

#define REPEAT_DELAY (3 * HZ)

struct evdev_client {
	u32 head, tail;
	u32 packet_head;
	u32 clk_type;
	u32 bufsize;
	int repeat_code; /* the key that repeats; -1: none */
	u32 events[8];
};

static struct evdev_client keyboard;
static struct work_struct repeat_work;
static struct timer_list repeat_timer;

/* The key has been let go of: repeats no more. */
static noinline void evdev_stop_autorepeat(struct evdev_client *client)
{
	client->repeat_code = -1;
}

/*
 * BUG: this used to run in a thread of the driver's own, whose private data was the client. In a workqueue's worker,
 * the thread's private data is the worker.
 */
static void evdev_repeat_work(struct work_struct *work)
{
	struct evdev_client *client = current->worker_private;

	(void)work;
	set_worker_desc("evdev_repeat");
	evdev_stop_autorepeat(client);
}

static void evdev_repeat_timeout(struct timer_list *t)
{
	(void)t;
	schedule_work(&repeat_work);
}

void evdev_init(void)
{
	keyboard.repeat_code = 30;
	keyboard.bufsize = ARRAY_SIZE(keyboard.events);
	INIT_WORK(&repeat_work, evdev_repeat_work);
	timer_setup(&repeat_timer, evdev_repeat_timeout, 0);
	mod_timer(&repeat_timer, jiffies + REPEAT_DELAY);
	pr_info("input: minik keyboard (%u events, key %d held)\n", keyboard.bufsize, keyboard.repeat_code);
}
_Static_assert(offsetof(struct evdev_client, repeat_code) == offsetof(struct worker, pool), "another field is hit");
