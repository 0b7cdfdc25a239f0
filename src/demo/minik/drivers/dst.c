/* SPDX-License-Identifier: Apache-2.0 */
/* Network routes: shared by a sender and its neighbour, freed after a grace period when both have let go. */
#include "kernel.h"
#include "planted.h"
#include "rcu.h"

#define DST_ROUNDS 60
#define MAX_FRAGMENTS 8

struct net_device;

struct dst_entry {
	struct net_device *dev;
	atomic_t refcnt;
	u32 metrics[3];
	struct rcu_head rcu;
	u32 lastuse;
};

struct sk_buff {
	struct sk_buff *next;
	u8 data[sizeof(struct dst_entry) - sizeof(struct sk_buff *)];
};

static struct dst_entry *route;
static u32 round, released;

static void dst_destroy_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct dst_entry, rcu));
}

/*
 * BUG: lets go and asks whether it was the last in two steps. Two CPUs that let go at the same time both find that they
 * were: the same callback is queued twice, and its object freed twice.
 */
static noinline void dst_release(struct dst_entry *dst)
{
	atomic_dec_return(&dst->refcnt);
	/* The statistics of the route take a moment. */
	dst->lastuse = jiffies;
	udelay(2 + get_random_u32() % 3);
	if (!atomic_read(&dst->refcnt))
		call_rcu(&dst->rcu, dst_destroy_rcu);
}

static void wait_until(u32 *word, u32 value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value) {
		udelay(20);
		yield();
	}
}

static int neigh_thread(void *unused)
{
	(void)unused;
	for (u32 i = 1; i <= DST_ROUNDS; i++) {
		wait_until(&round, i);
		udelay(get_random_u32() % 300);
		dst_release(route);
		__atomic_store_n(&released, i, __ATOMIC_SEQ_CST);
	}
	return 0;
}

/* A packet on its way, in a few fragments, while the route's grace period passes. */
static noinline void send_packet(void)
{
	struct sk_buff *skb[MAX_FRAGMENTS];
	u32 n = 1 + get_random_u32() % MAX_FRAGMENTS;

	for (u32 i = 0; i < n; i++) {
		skb[i] = kmalloc(sizeof(*skb[i]));
		if (skb[i])
			memset(skb[i]->data, 0xa5, sizeof(skb[i]->data));
	}
	schedule_timeout_idle(3);
	for (u32 i = 0; i < n; i++)
		kfree(skb[i]);
}

static int xmit_thread(void *unused)
{
	(void)unused;
	for (u32 i = 1; i <= DST_ROUNDS; i++) {
		struct dst_entry *dst = kzalloc(sizeof(*dst));

		if (!dst)
			return -ENOMEM;
		atomic_set(&dst->refcnt, 2);
		route = dst;
		__atomic_store_n(&round, i, __ATOMIC_SEQ_CST);
		udelay(get_random_u32() % 300);
		dst_release(dst);
		wait_until(&released, i);
		send_packet();
	}
	pr_info("net: %u packets sent\n", DST_ROUNDS);
	return 0;
}

void dst_init(void)
{
	kthread_run_on(neigh_thread, NULL, driver_cpu(1), "neigh");
	kthread_run_on(xmit_thread, NULL, driver_cpu(0), "xmit");
}
