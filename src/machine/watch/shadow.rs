//! What watched memory held after the last access that was seen: what it holds before the next.

use std::collections::HashMap;
use std::ops::Range;

const PAGE: u64 = 4096;

/// A copy of watched memory, in pages; those that are all zero are left out.
#[derive(Default)]
pub(super) struct Shadow {
    pages: HashMap<u64, Box<[u8]>>,
}

/// The parts of a range by page: number, place in it, and place in the range.
fn parts(range: &Range<u64>) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let whole = range.clone();
    let pages = range.start / PAGE..range.end.div_ceil(PAGE);
    pages.filter(move |_| !whole.is_empty()).map({
        let range = range.clone();
        move |page| {
            let (from, to) = (range.start.max(page * PAGE), range.end.min((page + 1) * PAGE));
            let (in_page, in_range) = (from - page * PAGE..to - page * PAGE, from - range.start..to - range.start);
            let index = |r: Range<u64>| r.start as usize..r.end as usize;
            (page, index(in_page), index(in_range))
        }
    })
}

impl Shadow {
    /// The bytes of a range that is watched.
    pub(super) fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for (page, in_page, in_range) in parts(range) {
            if let Some(page) = self.pages.get(&page) {
                bytes[in_range].copy_from_slice(&page[in_page]);
            }
        }
        bytes
    }

    /// Takes over what is in memory.
    pub(super) fn update(&mut self, range: &Range<u64>, read: &impl Fn(Range<u64>) -> Vec<u8>) {
        for (number, in_page, in_range) in parts(range) {
            let bytes = read(range.start + in_range.start as u64..range.start + in_range.end as u64);
            // Memory that has not grown that far is zero when it does.
            let (from, to) = (in_page.start, in_page.start + bytes.len().min(in_page.len()));
            match self.pages.get_mut(&number) {
                Some(page) => page[from..to].copy_from_slice(&bytes[..to - from]),
                None if bytes.iter().all(|&byte| byte == 0) => {}
                None => {
                    let mut page = vec![0; PAGE as usize].into_boxed_slice();
                    page[from..to].copy_from_slice(&bytes[..to - from]);
                    self.pages.insert(number, page);
                }
            }
        }
    }

    /// Drops the pages of `range` of which nothing is watched any more.
    pub(super) fn forget(&mut self, range: &Range<u64>, watched: impl Fn(Range<u64>) -> bool) {
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        let is_gone = |page: u64| !watched(page * PAGE..(page + 1) * PAGE);
        // A range may be larger than all that is kept.
        if pages.end - pages.start > self.pages.len() as u64 {
            return self.pages.retain(|&page, _| !pages.contains(&page) || !is_gone(page));
        }
        for page in pages {
            if self.pages.contains_key(&page) && is_gone(page) {
                self.pages.remove(&page);
            }
        }
    }
}
