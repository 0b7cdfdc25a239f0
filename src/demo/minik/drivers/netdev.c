/* SPDX-License-Identifier: Apache-2.0 */
/* A network device with a lock for its queue and one for its statistics. */
#include "kernel.h"
#include "planted.h"
#include "sched.h"

#define NET_ROUNDS 120

__used struct net_device {
	raw_spinlock_t tx_lock;
	raw_spinlock_t stats_lock;
	u32 tx_packets, reads;
} minik_eth0 = { .tx_lock = __RAW_SPIN_LOCK_UNLOCKED, .stats_lock = __RAW_SPIN_LOCK_UNLOCKED };

static noinline void eth_start_xmit(struct net_device *dev)
{
	raw_spin_lock(&dev->tx_lock);
	/* Until there is room in the queue. */
	udelay(1 + get_random_u32() % 2);
	raw_spin_lock(&dev->stats_lock);
	dev->tx_packets++;
	raw_spin_unlock(&dev->stats_lock);
	raw_spin_unlock(&dev->tx_lock);
}

/* BUG: takes the two locks in the other order. */
static noinline u32 eth_get_stats(struct net_device *dev)
{
	u32 packets;

	raw_spin_lock(&dev->stats_lock);
	dev->reads++;
	udelay(1 + get_random_u32() % 2);
	/* Packets in the queue do not count. */
	raw_spin_lock(&dev->tx_lock);
	packets = dev->tx_packets;
	raw_spin_unlock(&dev->tx_lock);
	raw_spin_unlock(&dev->stats_lock);
	return packets;
}

static int eth_tx(void *unused)
{
	(void)unused;
	for (u32 i = 0; i < NET_ROUNDS; i++) {
		eth_start_xmit(&minik_eth0);
		udelay(get_random_u32() % 400);
		cond_resched();
	}
	pr_info("eth0: %u packets\n", minik_eth0.tx_packets);
	return 0;
}

static int eth_watchdog(void *unused)
{
	(void)unused;
	for (u32 i = 0; i < NET_ROUNDS / 4; i++) {
		eth_get_stats(&minik_eth0);
		udelay(get_random_u32() % 400);
		cond_resched();
	}
	return 0;
}

void netdev_init(void)
{
	kthread_run_on(eth_tx, NULL, driver_cpu(0), "eth0_tx");
	kthread_run_on(eth_watchdog, NULL, 0, "eth0_watchdog");
}
