/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MINIK_VMSTAT_H
#define MINIK_VMSTAT_H
#include "types.h"

struct vmstat {
	u32 nr_free, low; /* pages; the fewest ever seen */
	u32 updates;
};
extern struct vmstat vmstat;
void vmstat_init(void);

#endif
