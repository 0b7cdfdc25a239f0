//! Pages and slabs: what the kernel's allocators know of an address.

use serde::Serialize;

use super::{Kernel, Object};

/// Bytes of a page: no kernel for Wasm has others.
const PAGE_SHIFT: u64 = 12;

/// Objects of a slab that are told.
const MAX_IN_SLAB: u64 = 4096;

/// What pages are marked as (`enum pagetype`), from 6.11 on.
const MARKS: &[&str] = &[
    "PGTY_buddy",
    "PGTY_offline",
    "PGTY_table",
    "PGTY_guard",
    "PGTY_hugetlb",
    "PGTY_slab",
    "PGTY_zsmalloc",
    "PGTY_unaccepted",
    "PGTY_large_kmalloc",
];

/// An object of a slab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlabObject {
    /// The cache that it is from; minik's have no names, but sizes.
    pub cache: String,
    /// Its first byte.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
    /// It is free: on the free list of its slab, or of a CPU. `None` where that list cannot be followed.
    pub free: Option<bool>,
}

/// What is known of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageInfo {
    /// Its number.
    pub pfn: u64,
    /// Its `page`.
    pub page: u64,
    /// The first page of the block that it is in, if it is another.
    pub head: Option<u64>,
    /// How many use the block: 0 means that it is free, or that what it is marked as is not counted.
    pub count: Option<i64>,
    /// What the block is marked as, in kernels that have numbers for that: `buddy` (it is free), `slab`, `large_kmalloc`.
    pub mark: Option<String>,
    /// The object that the address is in, if the block is cut into such.
    pub object: Option<SlabObject>,
}

impl<'i> Kernel<'i> {
    /// The `page` of a page, by number: an element of a flat map of all memory.
    fn page(&self, pfn: u64) -> Option<Object<'_, 'i>> {
        let size = self.symbols.size_of(self.type_named("struct page")?)?;
        // Where Linux keeps the map of a machine with memory in one piece; minik and other kernels have it from 0 on.
        let (map, first) = match self.variable("contig_page_data") {
            Some(node) => (node.u("node_mem_map")?, node.u("node_start_pfn")?),
            None => (self.variable("mem_map")?.unsigned()?, 0),
        };
        let index = pfn.checked_sub(first)?;
        let pages = self.variable("contig_page_data").and_then(|node| node.u("node_spanned_pages"));
        if map < super::LOWEST || pages.is_some_and(|pages| index >= pages) {
            return None;
        }
        let address = map.checked_add(index.checked_mul(size)?)?;
        self.object("struct page", address)
    }

    /// The first page of the block that a page is in, if it is not the first itself: all others have a pointer to that one,
    /// marked by the lowest bit; or, from 7.1 on, a mask that makes their own address that of the first.
    fn head_of<'k>(&'k self, page: &Object<'k, 'i>) -> Option<Object<'k, 'i>> {
        let head = page.member_of(&["compound_head", "compound_info"])?.unsigned()?;
        let head = Some(head & !1).filter(|_| head & 1 == 1)?;
        let head = if head > page.address() { page.address() & head } else { head };
        self.object("struct page", head)
    }

    /// The name of a mark: the highest byte is its number.
    fn mark_of(&self, mark: u64) -> Option<String> {
        let known = MARKS.iter().find(|name| self.enumerator(name) == Some(i128::from(mark >> 24 & 0xff)))?;
        Some(known.trim_start_matches("PGTY_").to_owned())
    }

    /// The address of a page's memory.
    fn page_number(&self, page: &Object<'_, '_>, near: (u64, u64)) -> u64 {
        let (pfn, address) = near;
        let size = page.size().unwrap_or(1).max(1);
        pfn.wrapping_sub(address.wrapping_sub(page.address()) / size)
    }

    /// The page that an address is in, and what it is used for.
    pub fn page_info(&self, address: u64) -> Option<PageInfo> {
        let pfn = address >> PAGE_SHIFT;
        let page = self.page(pfn)?;
        if page.member("order").is_some() {
            return Some(self.minik_page(pfn, &page, address));
        }
        let head = self.head_of(&page).unwrap_or(page);
        let head_pfn = self.page_number(&head, (pfn, page.address()));
        let start = head_pfn << PAGE_SHIFT;
        let object = self.slab_object(&head, start, address);
        Some(PageInfo {
            pfn,
            page: page.address(),
            head: (head.address() != page.address()).then_some(head_pfn),
            count: head.member("_refcount").and_then(|count| count.signed()),
            mark: head.u("page_type").and_then(|mark| self.mark_of(mark)),
            object,
        })
    }

    /// minik's page: only the first of a block of pages knows of it, and blocks are aligned to their size. What has never
    /// been handed out is in none, nor is the kernel itself.
    fn minik_page(&self, pfn: u64, page: &Object<'_, 'i>, address: u64) -> PageInfo {
        const MAX_ORDER: u64 = 12;
        let block = (0..MAX_ORDER).find_map(|order| {
            let first = pfn >> order << order;
            let head = self.page(first)?;
            let is_one = head.u("order")? >= order && (head.u("flags")? != 0 || head.u("_refcount")? != 0);
            is_one.then_some((first, head))
        });
        PageInfo {
            pfn,
            page: page.address(),
            head: block.as_ref().map(|(first, _)| *first).filter(|&first| first != pfn),
            count: block.and_then(|(_, head)| head.i("_refcount")),
            mark: None,
            object: self.minik_object(page, address),
        }
    }

    /// The caches that the kernel has.
    fn caches(&self) -> Vec<Object<'_, 'i>> {
        let Some(head) = self.variable("slab_caches") else { return Vec::new() };
        let entries = self.list(head.address(), "the list of slab caches");
        entries.into_iter().filter_map(|entry| self.container("struct kmem_cache", "list", entry)).collect()
    }

    /// The object of Linux's slab allocator at an address. A page that is none of its says something else where a slab's
    /// cache is: only a cache that the kernel knows counts.
    fn slab_object(&self, page: &Object<'_, 'i>, start: u64, address: u64) -> Option<SlabObject> {
        let slab = Object::new(self, page.address(), self.type_named("struct slab")?);
        let cache = slab.u("slab_cache")?;
        let cache = self.caches().into_iter().find(|known| known.address() == cache)?;
        let size = cache.u("size").filter(|&size| size > 0)?;
        // SLAB begins where it likes, SLUB at the start of the block.
        let start = slab.u("s_mem").unwrap_or(start);
        let number = address.checked_sub(start)? / size;
        let count = slab.u("objects").or_else(|| cache.u("num"));
        if count.is_some_and(|count| number >= count) {
            return None;
        }
        let pad = cache.u("red_left_pad").unwrap_or(0);
        let object = start.checked_add(number.checked_mul(size)?)?.checked_add(pad)?;
        Some(SlabObject {
            cache: cache.name("name").unwrap_or_else(|| format!("{:#x}", cache.address())),
            start: object,
            size: cache.u("object_size").unwrap_or(size),
            free: self.is_free(&slab, &cache, object),
        })
    }

    /// The objects of the slab that an address is in: where each begins. None where there is no slab.
    pub fn slab_objects(&self, address: u64) -> Vec<u64> {
        let pfn = address >> PAGE_SHIFT;
        let Some(page) = self.page(pfn) else { return Vec::new() };
        if page.member("order").is_some() {
            let size = page.follow("slab").and_then(|cache| cache.u("object_size")).filter(|&size| size > 0);
            return size.map(|size| starts(pfn << PAGE_SHIFT, size, (1 << PAGE_SHIFT) / size)).unwrap_or_default();
        }
        let found = self.page_info(address).filter(|info| info.object.is_some()).and_then(|info| {
            let head = info.head.unwrap_or(pfn);
            let slab = Object::new(self, self.page(head)?.address(), self.type_named("struct slab")?);
            let cache = self.object("struct kmem_cache", slab.u("slab_cache")?)?;
            let size = cache.u("size").filter(|&size| size > 0)?;
            let count = slab.u("objects").or_else(|| cache.u("num")).unwrap_or((1 << PAGE_SHIFT) / size);
            let first = slab.u("s_mem").unwrap_or(head << PAGE_SHIFT);
            Some(starts(first.wrapping_add(cache.u("red_left_pad").unwrap_or(0)), size, count))
        });
        found.unwrap_or_default()
    }

    /// The object of minik's allocator at an address.
    fn minik_object(&self, page: &Object<'_, 'i>, address: u64) -> Option<SlabObject> {
        let cache = page.follow("slab")?;
        let size = cache.u("object_size").filter(|&size| size > 0)?;
        let start = address & !((1 << PAGE_SHIFT) - 1);
        let object = start + (address - start) / size * size;
        let first = cache.u("freelist")?;
        let free = self.chain(first, 0, usize::MAX, &format!("the free list of kmalloc-{size}"));
        Some(SlabObject { cache: format!("kmalloc-{size}"), start: object, size, free: Some(free.contains(&object)) })
    }
}

/// Where objects begin that follow each other.
fn starts(first: u64, size: u64, count: u64) -> Vec<u64> {
    (0..count.min(MAX_IN_SLAB)).map(|number| first.wrapping_add(number * size)).collect()
}
