/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of memory, refreshed every two seconds by CPU 0's workers. */
#include "kernel.h"
#include "vmstat.h"
#include "workqueue.h"

#define VMSTAT_INTERVAL (2 * HZ)

struct vmstat vmstat;
static struct delayed_work vmstat_work;

static void vmstat_update(struct work_struct *work)
{
	(void)work;
	set_worker_desc("vmstat_update");
	vmstat.nr_free = nr_free_pages();
	vmstat.low = min(vmstat.low, vmstat.nr_free);
	vmstat.updates++;
	queue_delayed_work_on(0, system_wq, &vmstat_work, VMSTAT_INTERVAL);
}

void vmstat_init(void)
{
	vmstat.low = nr_free_pages();
	INIT_DELAYED_WORK(&vmstat_work, vmstat_update);
	queue_delayed_work_on(0, system_wq, &vmstat_work, VMSTAT_INTERVAL);
}
