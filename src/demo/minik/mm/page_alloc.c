/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page allocator: blocks of 2^order pages, aligned to their size. Freed blocks are kept by order and split when
 * a smaller one is wanted; memory never touched is handed out last.
 */
#include "kernel.h"
#include "mm.h"
#include "sched.h"

#define MAX_ORDER 12

struct zone {
	raw_spinlock_t lock;
	struct list_head free_area[MAX_ORDER];
	ulong fresh, end; /* what has never been handed out */
	u32 nr_free, nr_total;
};

struct page *mem_map;
static struct zone zone = { .lock = __RAW_SPIN_LOCK_UNLOCKED };

void mm_init(void)
{
	size_t map_size = (memory_end >> PAGE_SHIFT) * sizeof(struct page);

	for (u32 i = 0; i < MAX_ORDER; i++)
		INIT_LIST_HEAD(&zone.free_area[i]);
	/* Memory that was grown reads as zero: the map needs no clearing. */
	mem_map = (struct page *)ALIGN(memory_kernel_break, PAGE_SIZE);
	zone.fresh = ALIGN((ulong)mem_map + map_size, PAGE_SIZE);
	zone.end = memory_end;
	zone.nr_total = zone.nr_free = (u32)((zone.end - zone.fresh) >> PAGE_SHIFT);
	pr_info("Memory: %luK/%luK available (%luK kernel and initramfs, %luK page map)\n",
		(ulong)zone.nr_free << 2, memory_end >> 10, (memory_kernel_break - memory_start) >> 10, (ulong)map_size >> 10);
}

u32 get_order(size_t size)
{
	u32 order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

static noinline void bad_page(struct page *page, const char *reason)
{
	pr_info("BUG: Bad page state in process %s  pfn:%05lx\n", current->comm, (ulong)(page - mem_map));
	pr_info("page dumped because: %s (flags:%x order:%u refcount:%u)\n", reason, page->flags, page->order,
		page->_refcount);
}

static void add_to_free_area(struct page *page, u32 order)
{
	page->flags = PG_buddy;
	page->order = (u16)order;
	page->_refcount = 0;
	list_add(&page->lru, &zone.free_area[order]);
}

/* A free block of at least `order`, split down to it. */
static struct page *take_from_free_area(u32 order)
{
	for (u32 o = order; o < MAX_ORDER; o++) {
		struct page *page;

		if (list_empty(&zone.free_area[o]))
			continue;
		page = list_first_entry(&zone.free_area[o], struct page, lru);
		list_del(&page->lru);
		if (page->flags != PG_buddy || page->_refcount)
			bad_page(page, "free page is in use");
		while (o > order) {
			o--;
			add_to_free_area(page + (1u << o), o);
		}
		return page;
	}
	return NULL;
}

static struct page *take_fresh(u32 order)
{
	ulong size = PAGE_SIZE << order, start = ALIGN(zone.fresh, size);

	if (start >= zone.end || zone.end - start < size)
		return NULL;
	/* What alignment skips over stays usable. */
	while (zone.fresh < start) {
		u32 gap = (u32)__builtin_ctzl(zone.fresh >> PAGE_SHIFT);

		add_to_free_area(virt_to_page((void *)zone.fresh), gap);
		zone.fresh += PAGE_SIZE << gap;
	}
	zone.fresh = start + size;
	return virt_to_page((void *)start);
}

noinline void *alloc_pages(u32 order)
{
	struct page *page;

	if (order >= MAX_ORDER)
		return NULL;
	raw_spin_lock(&zone.lock);
	page = take_from_free_area(order);
	if (!page)
		page = take_fresh(order);
	if (page) {
		page->flags = PG_head;
		page->order = (u16)order;
		page->_refcount = 1;
		zone.nr_free -= 1u << order;
	}
	raw_spin_unlock(&zone.lock);
	return page ? page_address(page) : NULL;
}

noinline void free_pages(void *p, u32 order)
{
	struct page *page = virt_to_page(p);

	if (page->flags != PG_head || page->order != order || page->_refcount != 1) {
		bad_page(page, "freed page is not allocated");
		return;
	}
	raw_spin_lock(&zone.lock);
	zone.nr_free += 1u << order;
	add_to_free_area(page, order);
	raw_spin_unlock(&zone.lock);
}

u32 nr_free_pages(void) { return zone.nr_free; }
u32 nr_total_pages(void) { return zone.nr_total; }
