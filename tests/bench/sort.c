/* Quicksort with insertion sort for short ranges, through a comparison function, as a kernel's sort() has it. */
#include "bench.h"

static u32 values[4096];

typedef int compare_fn(u32, u32);

static int ascending(u32 x, u32 y)
{
	return (x > y) - (x < y);
}

static int by_low_half(u32 x, u32 y)
{
	return (int)(x & 0xffff) - (int)(y & 0xffff);
}

static void swap(u32 *x, u32 *y)
{
	u32 old = *x;

	*x = *y;
	*y = old;
}

static NOINLINE void sort(u32 *first, u32 n, compare_fn *compare)
{
	while (n > 12) {
		u32 pivot = first[n / 2], left = 0, right = n - 1;

		for (;;) {
			while (compare(first[left], pivot) < 0)
				left++;
			while (compare(first[right], pivot) > 0)
				right--;
			if (left >= right)
				break;
			swap(&first[left++], &first[right--]);
		}
		sort(first, right + 1 < left ? right + 1 : left, compare);
		first += left;
		n -= left;
	}
	for (u32 i = 1; i < n; i++)
		for (u32 j = i; j > 0 && compare(first[j - 1], first[j]) > 0; j--)
			swap(&first[j - 1], &first[j]);
}

EXPORT("run") u32 run(u32 rounds)
{
	u32 seed = 7, sum = 0;

	while (rounds--) {
		for (u32 i = 0; i < LEN(values); i++)
			values[i] = next_random(&seed);
		sort(values, LEN(values), rounds & 1 ? ascending : by_low_half);
		for (u32 i = 0; i < LEN(values); i += 64)
			sum = sum * 33 + values[i];
	}
	return sum;
}
