// SPDX-License-Identifier: GPL-2.0
/* The compiler's helper for a 128-bit product, which it returns through a pointer. */
#include <linux/types.h>
#include <linux/math64.h>

struct u128 {
	u64 low, high;
};

void __multi3(struct u128 *product, u64 a_low, u64 a_high, u64 b_low, u64 b_high);
void __multi3(struct u128 *product, u64 a_low, u64 a_high, u64 b_low, u64 b_high)
{
	u64 low = (u64)(u32)a_low * (u32)b_low;
	u64 mid = (a_low >> 32) * (u32)b_low + (low >> 32);
	u64 mid2 = (u64)(u32)a_low * (b_low >> 32) + (u32)mid;

	product->low = mid2 << 32 | (u32)low;
	product->high = (a_low >> 32) * (b_low >> 32) + (mid >> 32) + (mid2 >> 32) + a_low * b_high + a_high * b_low;
}
