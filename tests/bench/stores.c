/* Guests that do little but write memory: each export is a loop around stores of one kind. */
#include "bench.h"

#define SIZE 4096

static u8 bytes[SIZE];
static u32 words[SIZE];
static u32 others[SIZE];

/* A byte each pass: the densest that code compiled from C comes to. */
EXPORT("fill") u32 fill(u32 rounds)
{
	u32 sum = 0;

	for (u32 round = 0; round < rounds; round++) {
		for (u32 i = 0; i < SIZE; i++)
			bytes[i] = (u8)(i * 7 + round);
		sum += bytes[round % SIZE];
	}
	return sum;
}

/* Words from one place to another. */
EXPORT("copy") u32 copy(u32 rounds)
{
	u32 sum = 0;

	for (u32 round = 0; round < rounds; round++) {
		words[round % SIZE] = round;
		for (u32 i = 0; i < SIZE; i++)
			others[i] = words[i] + round;
		sum += others[round % SIZE];
	}
	return sum;
}

struct object {
	struct object *next, *prev;
	u32 flags;
	u16 kind, users;
	u64 stamp;
	u8 state, cpu;
	u32 hash;
	void *owner;
};

static struct object objects[256];

/* What constructors do: many fields of one object after the other. */
EXPORT("init") u32 init(u32 rounds)
{
	u32 sum = 0;

	for (u32 round = 0; round < rounds; round++) {
		for (u32 i = 0; i < LEN(objects); i++) {
			struct object *o = &objects[i];

			o->next = o;
			o->prev = o;
			o->flags = round;
			o->kind = (u16)i;
			o->users = 1;
			o->stamp = (u64)round << 20 | i;
			o->state = 3;
			o->cpu = (u8)round;
			o->hash = i * 31 + round;
			o->owner = &objects[round % LEN(objects)];
		}
		sum += objects[round % LEN(objects)].hash;
	}
	return sum;
}

/* A read, a sum and a write, at a place that the last one does not tell. */
EXPORT("count") u32 count(u32 rounds)
{
	u32 state = 1, sum = 0;

	for (u32 i = 0; i < SIZE; i++)
		words[i] = 0;
	for (u32 round = 0; round < rounds; round++) {
		for (u32 i = 0; i < 256; i++)
			words[next_random(&state) % SIZE]++;
		sum += words[round % SIZE];
	}
	return sum;
}

static void unlink(struct object *o)
{
	o->next->prev = o->prev;
	o->prev->next = o->next;
}

static void link_before(struct object *o, struct object *place)
{
	o->prev = place->prev;
	o->next = place;
	place->prev->next = o;
	place->prev = o;
}

/* A kernel's lists: an object from one to another. */
EXPORT("move") u32 move(u32 rounds)
{
	static struct object heads[2];
	u32 state = 1, sum = 0;

	for (u32 i = 0; i < 2; i++)
		heads[i].next = heads[i].prev = &heads[i];
	for (u32 i = 0; i < LEN(objects); i++)
		link_before(&objects[i], &heads[0]);
	for (u32 round = 0; round < rounds; round++) {
		struct object *o = &objects[next_random(&state) % LEN(objects)];

		unlink(o);
		link_before(o, &heads[round & 1]);
		sum += heads[0].next != &heads[0];
	}
	return sum;
}

/* A stack in memory: what a frame that lives in the shadow stack does. */
EXPORT("push") u32 push(u32 rounds)
{
	u32 sum = 0;

	for (u32 round = 0; round < rounds; round++) {
		u32 depth = 0;

		for (u32 i = 0; i < 512; i++) {
			words[depth++] = i;
			words[depth++] = i ^ round;
			if (i & 1) {
				u32 top = words[--depth];
				words[depth - 1] += top;
			}
		}
		sum += words[depth - 1];
	}
	return sum;
}
