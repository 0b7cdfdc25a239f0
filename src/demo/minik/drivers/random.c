/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: the host's in the 7.0 era, a generator seeded from the clock before. */
#include "kernel.h"
#include "sched.h"

static u64 state;
static DEFINE_RAW_SPINLOCK(random_lock);

/* xorshift64*: not for secrets, which this machine has none of. */
u32 get_random_u32(void)
{
	u64 v;

	raw_spin_lock(&random_lock);
	/* The time of the call is the entropy of machines that have no other. */
	state ^= (u64)wasm_cpu_clock_get_monotonic() << 20;
	state |= !state;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	v = state * 0x2545f4914f6cdd1dULL;
	raw_spin_unlock(&random_lock);
	return (u32)(v >> 32);
}

long get_random_bytes(void *buf, u32 count)
{
#if ERA >= 70
	/* The host refuses more than 64 KiB at a time. */
	for (u32 done = 0; done < count;) {
		int n = wasm_random_get_bytes((char *)buf + done, min(count - done, 65536u));

		if (n <= 0)
			return -EIO;
		done += (u32)n;
	}
#else
	u8 *p = buf;

	for (u32 i = 0; i < count; i++)
		p[i] = (u8)get_random_u32();
#endif
	return (long)count;
}

void random_init(void)
{
	state = 0x9e3779b97f4a7c15ULL ^ (u64)wasm_cpu_clock_get_monotonic();
#if ERA >= 70
	if (wasm_random_get_bytes(&state, 65537) != -1)
		panic("the host hands out more random bytes at once than it may");
	wasm_random_get_bytes(&state, sizeof(state));
#endif
	state |= 1;
	pr_info("random: crng init done\n");
}
