/* An LZ compressor with a hash of three-byte prefixes, and its decompressor. */
#include "bench.h"

static u8 input[16384], packed[32768], output[16384];
static u16 heads[4096];

static u32 prefix(const u8 *at)
{
	return ((u32)(at[0] << 16 | at[1] << 8 | at[2]) * 2654435761u) >> 20;
}

/* Literals: 0, byte. Matches: length (3 to 255), distance in two bytes. */
static NOINLINE u32 compress(const u8 *from, u32 n, u8 *to)
{
	u8 *start = to;
	u32 at = 0;

	for (u32 i = 0; i < LEN(heads); i++)
		heads[i] = 0xffff;
	while (at < n) {
		u32 length = 0, candidate = 0xffff;

		if (at + 3 <= n) {
			u32 bucket = prefix(from + at);

			candidate = heads[bucket];
			heads[bucket] = (u16)at;
		}
		if (candidate != 0xffff)
			while (length < 255 && at + length < n && from[candidate + length] == from[at + length])
				length++;
		if (length >= 3) {
			u32 distance = at - candidate;

			*to++ = (u8)length;
			*to++ = (u8)distance;
			*to++ = (u8)(distance >> 8);
			at += length;
		} else {
			*to++ = 0;
			*to++ = from[at++];
		}
	}
	return (u32)(to - start);
}

static NOINLINE u32 decompress(const u8 *from, u32 n, u8 *to)
{
	const u8 *end = from + n;
	u8 *start = to;

	while (from < end) {
		u32 length = *from++;

		if (length) {
			u32 distance = from[0] | (u32)from[1] << 8;

			from += 2;
			while (length--) {
				*to = to[-(s32)distance];
				to++;
			}
		} else {
			*to++ = *from++;
		}
	}
	return (u32)(to - start);
}

EXPORT("run") u32 run(u32 rounds)
{
	static const u8 words[] = "the kernel of a task and its queue with a timer in the wheel that waits for work";
	u32 seed = 3, sum = 0;

	while (rounds--) {
		u32 n, at = 0;

		for (u32 i = 0; i < LEN(input); i++) {
			if (next_random(&seed) % 8 == 0)
				at = next_random(&seed) % (LEN(words) - 1);
			input[i] = words[at];
			at = (at + 1) % (LEN(words) - 1);
		}
		n = compress(input, LEN(input), packed);
		sum = sum * 31 + n;
		if (decompress(packed, n, output) != LEN(input))
			__builtin_trap();
		for (u32 i = 0; i < LEN(input); i++)
			if (input[i] != output[i])
				__builtin_trap();
	}
	return sum;
}
