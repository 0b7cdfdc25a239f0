/* Doubly linked lists, as a kernel's list.h has them: walks, moves between lists, and a sum over the walked. */
#include "bench.h"

struct list_head {
	struct list_head *next, *prev;
};

struct task {
	struct list_head link;
	u32 priority;
	u32 runtime;
};

static struct task tasks[512];
static struct list_head queues[8];

static void list_add_tail(struct list_head *new, struct list_head *head)
{
	new->prev = head->prev;
	new->next = head;
	head->prev->next = new;
	head->prev = new;
}

static void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
}

static NOINLINE struct task *pick(struct list_head *queue)
{
	struct task *best = 0;

	for (struct list_head *at = queue->next; at != queue; at = at->next) {
		struct task *task = (struct task *)at;

		if (!best || task->runtime < best->runtime)
			best = task;
	}
	return best;
}

EXPORT("run") u32 run(u32 rounds)
{
	u32 seed = 5, sum = 0;

	for (u32 i = 0; i < LEN(queues); i++)
		queues[i].next = queues[i].prev = &queues[i];
	for (u32 i = 0; i < LEN(tasks); i++) {
		tasks[i].priority = next_random(&seed) % 100 + 1;
		tasks[i].runtime = 0;
		list_add_tail(&tasks[i].link, &queues[i % LEN(queues)]);
	}
	while (rounds--) {
		struct list_head *queue = &queues[next_random(&seed) % LEN(queues)];
		struct task *task = pick(queue);

		if (!task)
			continue;
		task->runtime += task->priority;
		list_del(&task->link);
		list_add_tail(&task->link, &queues[next_random(&seed) % LEN(queues)]);
		sum = sum * 31 + task->runtime;
	}
	return sum;
}
