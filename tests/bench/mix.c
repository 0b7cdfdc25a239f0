/* The mix that CoreMark is made of: list processing, small matrices, a state machine, and a CRC over the results. */
#include "bench.h"

struct node {
	struct node *next;
	short value;
	short index;
};

static struct node nodes[128];
static short a[20][20], b[20][20];
static int c[20][20];
static u8 text[512];

static u16 crc16(u16 crc, u32 data, int bits)
{
	for (int i = 0; i < bits; i++) {
		u32 carry = (crc ^ data) & 1;

		crc >>= 1;
		if (carry)
			crc ^= 0xa001;
		data >>= 1;
	}
	return crc;
}

typedef int compare_fn(const struct node *, const struct node *);

static int by_value(const struct node *x, const struct node *y)
{
	return x->value - y->value;
}

static int by_index(const struct node *x, const struct node *y)
{
	return x->index - y->index;
}

/* A merge sort of the list, bottom up. */
static NOINLINE struct node *sort_list(struct node *list, compare_fn *compare)
{
	for (int width = 1;; width *= 2) {
		struct node *left = list, *tail = 0;
		int merges = 0;

		list = 0;
		while (left) {
			struct node *right = left;
			int lefts = 0, rights = width;

			merges++;
			while (lefts < width && right) {
				lefts++;
				right = right->next;
			}
			while (lefts > 0 || (rights > 0 && right)) {
				struct node *taken;

				if (!lefts || (rights && right && compare(left, right) > 0)) {
					taken = right;
					right = right->next;
					rights--;
				} else {
					taken = left;
					left = left->next;
					lefts--;
				}
				if (tail)
					tail->next = taken;
				else
					list = taken;
				tail = taken;
			}
			left = right;
		}
		tail->next = 0;
		if (merges <= 1)
			return list;
	}
}

static NOINLINE u16 lists(u32 *seed)
{
	struct node *list = nodes, *reversed = 0;
	u16 crc = 0;

	for (u32 i = 0; i < LEN(nodes); i++) {
		nodes[i].next = i + 1 < LEN(nodes) ? &nodes[i + 1] : 0;
		nodes[i].value = (short)next_random(seed);
		nodes[i].index = (short)i;
	}
	list = sort_list(list, by_value);
	for (struct node *n = list; n; n = n->next)
		crc = crc16(crc, (u16)n->index, 16);
	while (list) {
		struct node *next = list->next;

		list->next = reversed;
		reversed = list;
		list = next;
	}
	list = sort_list(reversed, by_index);
	return crc16(crc, (u16)list->value, 16);
}

static NOINLINE u16 matrices(u32 *seed)
{
	u16 crc = 0;

	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 20; j++) {
			a[i][j] = (short)next_random(seed);
			b[i][j] = (short)next_random(seed);
		}
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 20; j++) {
			int sum = 0;

			for (int k = 0; k < 20; k++)
				sum += a[i][k] * b[k][j];
			c[i][j] = sum;
		}
	for (int i = 0; i < 20; i++)
		crc = crc16(crc, (u32)c[i][(i * 7) % 20], 32);
	return crc;
}

enum state { START, SIGN, INTEGER, POINT, EXPONENT, INVALID, STATES };

static enum state step(enum state state, u8 byte)
{
	int digit = byte >= '0' && byte <= '9';

	switch (state) {
	case START:
		return digit ? INTEGER : byte == '-' || byte == '+' ? SIGN : byte == '.' ? POINT : INVALID;
	case SIGN:
		return digit ? INTEGER : byte == '.' ? POINT : INVALID;
	case INTEGER:
		return digit ? INTEGER : byte == '.' ? POINT : byte == 'e' ? EXPONENT : INVALID;
	case POINT:
		return digit ? POINT : byte == 'e' ? EXPONENT : INVALID;
	case EXPONENT:
		return digit ? EXPONENT : INVALID;
	default:
		return INVALID;
	}
}

static NOINLINE u16 states(u32 *seed)
{
	static const u8 alphabet[] = "0123456789+-.e,0123456789";
	u32 counts[STATES] = { 0 };
	enum state state = START;
	u16 crc = 0;

	for (u32 i = 0; i < LEN(text); i++)
		text[i] = alphabet[next_random(seed) % (LEN(alphabet) - 1)];
	for (u32 i = 0; i < LEN(text); i++) {
		counts[state]++;
		state = text[i] == ',' ? START : step(state, text[i]);
	}
	for (int i = 0; i < STATES; i++)
		crc = crc16(crc, counts[i], 32);
	return crc;
}

EXPORT("run") u32 run(u32 rounds)
{
	u32 seed = 1, sum = 0;

	while (rounds--)
		sum = sum * 31 + lists(&seed) + matrices(&seed) * 3 + states(&seed) * 5;
	return sum;
}
