/* A hash table of strings with chains: insert, look up, remove. */
#include "bench.h"

struct entry {
	struct entry *next;
	u32 count;
	u8 key[16];
};

static struct entry entries[2048], *free_list, *buckets[512];

static u32 hash(const u8 *key)
{
	u32 h = 2166136261u;

	while (*key)
		h = (h ^ *key++) * 16777619u;
	return h;
}

static int equal(const u8 *x, const u8 *y)
{
	while (*x && *x == *y)
		x++, y++;
	return *x == *y;
}

static NOINLINE struct entry **find(const u8 *key)
{
	struct entry **link = &buckets[hash(key) % LEN(buckets)];

	while (*link && !equal((*link)->key, key))
		link = &(*link)->next;
	return link;
}

static void spell(u8 *key, u32 number)
{
	static const u8 prefix[] = "key-";
	u8 *to = key;

	for (const u8 *from = prefix; *from;)
		*to++ = *from++;
	do {
		*to++ = (u8)('0' + number % 10);
		number /= 10;
	} while (number);
	*to = 0;
}

EXPORT("run") u32 run(u32 rounds)
{
	u32 seed = 99, sum = 0;
	u8 key[16];

	free_list = 0;
	for (u32 i = 0; i < LEN(buckets); i++)
		buckets[i] = 0;
	for (u32 i = 0; i < LEN(entries); i++) {
		entries[i].next = free_list;
		free_list = &entries[i];
	}
	while (rounds--) {
		u32 number = next_random(&seed);
		struct entry **link, *entry;

		spell(key, number % 3000);
		link = find(key);
		entry = *link;
		if (entry && number & 0x10000) {
			*link = entry->next;
			entry->next = free_list;
			free_list = entry;
			sum += entry->count;
		} else if (entry) {
			entry->count++;
		} else if (free_list) {
			entry = free_list;
			free_list = entry->next;
			for (u32 i = 0; i < sizeof(key); i++)
				entry->key[i] = key[i];
			entry->count = 1;
			entry->next = 0;
			*link = entry;
		}
	}
	return sum;
}
