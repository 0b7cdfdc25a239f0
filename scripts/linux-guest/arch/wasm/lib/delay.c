// SPDX-License-Identifier: GPL-2.0
/* Delays: a wait on a word that nobody notifies gives the time to other CPUs. */
#include <linux/delay.h>
#include <asm/host.h>

void __ndelay(unsigned long nsecs)
{
	u32 word = 0;

	wasm_wait32(&word, 0, nsecs);
}

void __udelay(unsigned long usecs)
{
	u32 word = 0;

	wasm_wait32(&word, 0, (s64)usecs * 1000);
}

/* A "loop" is a nanosecond: see calibrate_delay_is_known(). */
void __delay(unsigned long loops)
{
	__ndelay(loops);
}
