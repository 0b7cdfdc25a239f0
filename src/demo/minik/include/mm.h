/* SPDX-License-Identifier: Apache-2.0 */
/* Pages. */
#ifndef MINIK_MM_H
#define MINIK_MM_H
#include "list.h"

/* page.flags */
#define PG_buddy 1
#define PG_head 2
#define PG_slab 4

struct kmem_cache;

struct page {
	u16 flags;
	u16 order;
	u32 _refcount;
	struct kmem_cache *slab;
	struct list_head lru;
};

extern struct page *mem_map;
static inline struct page *virt_to_page(const void *p) { return &mem_map[(ulong)p >> PAGE_SHIFT]; }
static inline void *page_address(struct page *page) { return (void *)((ulong)(page - mem_map) << PAGE_SHIFT); }

#endif
