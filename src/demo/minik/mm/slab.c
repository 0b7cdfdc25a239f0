/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kmalloc: a cache for each power of two from 16 to 2048, whole pages beyond. Freed objects are reused last-in
 * first-out.
 */
#include "kernel.h"
#include "mm.h"
#include "spinlock.h"

#define KMALLOC_MIN_SHIFT 4
#define KMALLOC_CACHES 8

struct kmem_cache {
	raw_spinlock_t lock;
	u32 object_size;
	void *freelist; /* each free object begins with the address of the next */
	u32 nr_slabs, nr_inuse;
};

#define CACHE(size) { __RAW_SPIN_LOCK_UNLOCKED, (size), NULL, 0, 0 }
__used struct kmem_cache kmalloc_caches[KMALLOC_CACHES] = {
	CACHE(16), CACHE(32), CACHE(64), CACHE(128), CACHE(256), CACHE(512), CACHE(1024), CACHE(2048),
};

static bool new_slab(struct kmem_cache *s)
{
	char *p = alloc_pages(0);
	struct page *page;

	if (!p)
		return false;
	page = virt_to_page(p);
	page->flags |= PG_slab;
	page->slab = s;
	s->nr_slabs++;
	/* Chained so that objects are handed out in address order. */
	for (u32 off = PAGE_SIZE; off >= s->object_size; off -= s->object_size) {
		void **obj = (void **)(p + off - s->object_size);

		*obj = s->freelist;
		s->freelist = obj;
	}
	return true;
}

static noinline void *kmem_cache_alloc(struct kmem_cache *s)
{
	void **obj = NULL;

	raw_spin_lock(&s->lock);
	if (s->freelist || new_slab(s)) {
		obj = s->freelist;
		s->freelist = *obj;
		s->nr_inuse++;
	}
	raw_spin_unlock(&s->lock);
	return obj;
}

noinline void *kmalloc(size_t size)
{
	for (u32 i = 0; i < KMALLOC_CACHES; i++) {
		if (size <= 1UL << (KMALLOC_MIN_SHIFT + i))
			return kmem_cache_alloc(&kmalloc_caches[i]);
	}
	return alloc_pages(get_order(size));
}

void *kzalloc(size_t size)
{
	void *p = kmalloc(size);

	if (p)
		memset(p, 0, size);
	return p;
}

noinline void kfree(const void *p)
{
	struct page *page;
	struct kmem_cache *s;
	void **obj = (void **)p;

	if (!p)
		return;
	page = virt_to_page(p);
	if (!(page->flags & PG_slab)) {
		free_pages((void *)p, page->order);
		return;
	}
	s = page->slab;
	raw_spin_lock(&s->lock);
	*obj = s->freelist;
	s->freelist = obj;
	s->nr_inuse--;
	raw_spin_unlock(&s->lock);
}
