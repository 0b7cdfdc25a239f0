/* What the benchmark guests share. Each exports run(rounds), which gives a checksum of its work. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;

#define EXPORT(name) __attribute__((export_name(name)))
#define NOINLINE __attribute__((noinline))
#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A xorshift generator: the same numbers in every run. */
static inline u32 next_random(u32 *state)
{
	u32 x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}
