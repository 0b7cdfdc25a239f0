//! Guest memory, read in pages and each page once: a view of hundreds of structures asks the machine a few dozen times.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;

use crate::inferior::Inferior;

/// Bytes that are read at once where each question takes a while: memory is a multiple of it.
pub(super) const FAR_PAGE: u64 = 1 << 16;

/// Bytes that are read at once where the memory is this process's own.
pub(super) const NEAR_PAGE: u64 = 1 << 12;

/// Bytes that a view reads. A view that wants more follows pointers into nothing.
const MAX_BYTES: u64 = 128 << 20;

/// Words and strings that a view reads. A kernel with thousands of tasks needs a tenth of it; lists of garbage that are
/// each short enough, and many, need more.
const MAX_READS: u32 = 1 << 20;

/// See the module.
pub(super) struct Memory<'i> {
    inferior: RefCell<&'i mut dyn Inferior>,
    /// Bytes that are read at once.
    page: u64,
    /// By number; none where there is no memory.
    pages: RefCell<HashMap<u64, Option<Box<[u8]>>>>,
    /// Reads so far.
    reads: Cell<u32>,
    /// More was wanted than is read.
    full: Cell<bool>,
}

impl<'i> Memory<'i> {
    pub(super) fn new(inferior: &'i mut dyn Inferior, page: u64) -> Self {
        Memory {
            inferior: RefCell::new(inferior),
            page,
            pages: RefCell::default(),
            reads: Cell::new(0),
            full: Cell::new(false),
        }
    }

    /// What is debugged. Nothing else may be asked while this is held.
    pub(super) fn inferior(&self) -> RefMut<'_, &'i mut dyn Inferior> {
        self.inferior.borrow_mut()
    }

    /// Whether memory was not read because a view wanted too much of it.
    pub(super) fn is_full(&self) -> bool {
        self.full.get()
    }

    /// How many pages were read.
    #[cfg(test)]
    pub(super) fn pages_read(&self) -> usize {
        self.pages.borrow().len()
    }

    /// Does something with the bytes of a page from an address on; nothing where there is no memory.
    fn with_page<T>(&self, address: u64, use_it: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if self.reads.replace(self.reads.get().saturating_add(1)) >= MAX_READS {
            self.full.set(true);
            return None;
        }
        let (number, start) = (address / self.page, (address % self.page) as usize);
        let mut pages = self.pages.borrow_mut();
        if !pages.contains_key(&number) {
            if pages.len() as u64 >= MAX_BYTES / self.page {
                self.full.set(true);
                return None;
            }
            let bytes = self.inferior.borrow_mut().read_memory(number * self.page, self.page);
            pages.insert(number, bytes.ok().map(Vec::into_boxed_slice));
        }
        let page = pages.get(&number)?.as_ref()?;
        Some(use_it(page.get(start..).filter(|rest| !rest.is_empty())?))
    }

    /// Bytes; `None` where not all of them are memory.
    pub(super) fn bytes(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = address.checked_add(bytes.len() as u64)?;
            let wanted = len - bytes.len();
            let part = self.with_page(at, |page| page[..page.len().min(wanted)].to_vec())?;
            bytes.extend(part);
        }
        Some(bytes)
    }

    /// A little-endian number of 1 to 8 bytes.
    pub(super) fn unsigned(&self, address: u64, size: u64) -> Option<u64> {
        let size = size.min(8) as usize;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        match self.with_page(address, |page| page.get(..size).map(number))? {
            Some(number) => Some(number),
            // It reaches over the end of a page.
            None => self.bytes(address, size).map(|bytes| number(&bytes)),
        }
    }

    /// The bytes up to a zero, at most `max`.
    pub(super) fn text(&self, address: u64, max: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < max {
            let at = address.checked_add(bytes.len() as u64)?;
            let wanted = max - bytes.len();
            let (part, ended) = self.with_page(at, |page| {
                let page = &page[..page.len().min(wanted)];
                match page.iter().position(|&byte| byte == 0) {
                    Some(end) => (page[..end].to_vec(), true),
                    None => (page.to_vec(), false),
                }
            })?;
            bytes.extend(part);
            if ended {
                break;
            }
        }
        Some(bytes)
    }
}
