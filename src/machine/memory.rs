//! The guest's memory: one mapping that every store of the machine sees.
//!
//! The contract's memory is a shared one, yet Wasmtime is given plain memories: all runners live on one OS thread, so
//! nothing is ever accessed at the same time, and Wasmtime 48 aborts the process when two instances of one store (the
//! kernel and a user image) import the same `SharedMemory` and one of them faults. The rewriter takes the `shared` off
//! the import, and [`GuestMemory::creator`] hands every store a `Memory` over the same mapping. Each store keeps its
//! own idea of the length; `memory.grow` is a host call, and a runner takes over the present length when it resumes.
//!
//! # Unsafe
//!
//! This module maps memory and copies through raw pointers, and implements Wasmtime's unsafe memory traits. It is sound
//! because the mapping lives as long as the last [`GuestMemory`] or `LinearMemory` (an `Arc`), never moves, is
//! reserved whole (4 GiB and the guard) so that compiled code's elided bounds checks always hit reserved pages, and
//! because no Rust reference into it is ever made: reads and writes copy.
#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// Bytes in a Wasm page.
pub const WASM_PAGE: u64 = 65536;
/// Bytes in a page of the host, the unit of [`GuestMemory::hash`].
const HOST_PAGE: usize = 4096;
/// What is reserved for the guest: all that 32 bits can address.
const RESERVED: usize = 4 << 30;
/// Unmapped bytes behind it, which Wasmtime's compiled code counts on: offsets below are not checked. So far from a place
/// in the map of what is watched lies that of what is watched for reads.
pub(super) const GUARD: usize = 128 << 20;

/// An access to guest memory that lies, even in part, beyond its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {address:#x} are outside the guest's memory")]
pub struct OutOfBounds {
    /// First byte.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Why there is no memory for the guest.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The address space could not be reserved.
    #[error("cannot reserve 4 GiB of address space for the guest's memory: {0}; is there a limit (ulimit -v)?")]
    Reserve(rustix::io::Errno),
    /// The guest asks for more than there is.
    #[error("the guest asks for {pages} pages of 64 KiB at its start, and there is room for {available}")]
    TooBig {
        /// What it asks for.
        pages: u64,
        /// What it can have.
        available: u64,
    },
}

struct Mapping {
    base: NonNull<u8>,
    /// Bytes that the guest may access; grows only.
    size: AtomicUsize,
    /// The most it may grow to, in bytes.
    limit: usize,
    /// Set while the machine attaches a store: how many of the memories that Wasmtime creates then come from the
    /// machine. The first is the guest's, the second the map of what is watched.
    attaching: AtomicUsize,
    /// What the next memory is then, in place of one of these.
    lent: Mutex<Option<GuestMemory>>,
}

// SAFETY: the pointer is to a mapping that this struct owns; all access goes through copies on one thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; the size is atomic.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length and nobody holds it any more. A failure leaks it.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), RESERVED + GUARD) };
    }
}

fn reserve() -> Result<NonNull<u8>, rustix::io::Errno> {
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice.
    let base = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            RESERVED + GUARD,
            ProtFlags::empty(),
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        )?
    };
    // Large pages: fewer faults, and less for a copy of the process to copy. Where there are none, it goes without.
    // SAFETY: the mapping just made, which nothing else knows of; the advice changes no contents.
    let _ = unsafe { madvise(base, RESERVED, Advice::LinuxHugepage) };
    NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)
}

/// A file in memory of so many bytes 0xff.
fn ones(len: usize) -> Result<OwnedFd, rustix::io::Errno> {
    let file = rustix::fs::memfd_create("ones", rustix::fs::MemfdFlags::CLOEXEC)?;
    let page = [0xff; HOST_PAGE];
    for at in (0..len).step_by(HOST_PAGE) {
        rustix::io::pwrite(&file, &page, at as u64)?;
    }
    Ok(file)
}

/// Fills memory with pages of a file, without touching them: they are copied where they are written.
fn map_filled(base: NonNull<u8>, len: usize, file: &OwnedFd) -> Result<(), rustix::io::Errno> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
    // SAFETY: the caller has reserved at least so much there, and nothing refers to it yet.
    let mapped = unsafe { mmap(base.as_ptr().cast(), len, protection, flags, file, 0)? };
    debug_assert_eq!(mapped, base.as_ptr().cast());
    Ok(())
}

/// The guest's memory, shared by clones.
#[derive(Clone)]
pub struct GuestMemory(Arc<Mapping>);

impl GuestMemory {
    /// Memory of `pages` Wasm pages that can grow to `max_pages`.
    pub fn new(pages: u64, max_pages: u64) -> Result<Self, MemoryError> {
        let available = max_pages.min(RESERVED as u64 / WASM_PAGE);
        if pages > available {
            return Err(MemoryError::TooBig { pages, available });
        }
        let mapping = Mapping {
            base: reserve().map_err(MemoryError::Reserve)?,
            size: AtomicUsize::new(0),
            limit: (available * WASM_PAGE) as usize,
            attaching: AtomicUsize::new(0),
            lent: Mutex::new(None),
        };
        let memory = GuestMemory(Arc::new(mapping));
        memory.grow(pages).ok_or(MemoryError::TooBig { pages, available: 0 })?;
        Ok(memory)
    }

    /// The same, which holds 0xff in its first `filled` bytes, rounded up to pages of the host. Until they are written, all
    /// such memories of this process share them.
    pub fn filled(pages: u64, filled: u64) -> Result<Self, MemoryError> {
        static FILE: Mutex<Option<(OwnedFd, usize)>> = Mutex::new(None);
        let memory = GuestMemory::new(pages, pages)?;
        let len = (filled.min(memory.size()) as usize).next_multiple_of(HOST_PAGE);
        let mut known = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|(_, there)| *there < len) {
            *known = Some((ones(len).map_err(MemoryError::Reserve)?, len));
        }
        if let Some((file, _)) = known.as_ref().filter(|_| len > 0) {
            map_filled(memory.0.base, len, file).map_err(MemoryError::Reserve)?;
        }
        Ok(memory)
    }

    /// Bytes that the guest can access now.
    pub fn size(&self) -> u64 {
        self.0.size.load(Ordering::Relaxed) as u64
    }

    /// The most bytes that it can grow to.
    pub fn limit(&self) -> u64 {
        self.0.limit as u64
    }

    /// Wasm pages that the guest can access now.
    pub fn pages(&self) -> u64 {
        self.size() / WASM_PAGE
    }

    /// Grows by `delta` pages and gives the size before, in pages; none where there is no room, as `memory.grow`.
    pub fn grow(&self, delta: u64) -> Option<u64> {
        let before = self.pages();
        let wanted = usize::try_from(before.checked_add(delta)?.checked_mul(WASM_PAGE)?).ok()?;
        self.0.grow_to(wanted).ok()?;
        Some(before)
    }

    fn at(&self, address: u64, len: u64) -> Result<*mut u8, OutOfBounds> {
        let end = address.checked_add(len).ok_or(OutOfBounds { address, len })?;
        if end > self.size() {
            return Err(OutOfBounds { address, len });
        }
        // SAFETY: within the mapping, as just checked.
        Ok(unsafe { self.0.base.as_ptr().add(address as usize) })
    }

    /// Copies guest memory out.
    pub fn read(&self, address: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(address, buf.len() as u64)?;
        // SAFETY: `from` is valid for the length and the buffer is ours, so they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    /// Copies `len` bytes of guest memory out. Fails before it allocates.
    pub fn read_vec(&self, address: u64, len: u64) -> Result<Vec<u8>, OutOfBounds> {
        self.at(address, len)?;
        let mut buf = vec![0; len as usize];
        self.read(address, &mut buf)?;
        Ok(buf)
    }

    /// Copies into guest memory. Watchpoints are the caller's concern: see `Core::host_write`.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.at(address, bytes.len() as u64)?;
        // SAFETY: `to` is valid for the length and the bytes are ours, so they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// A little-endian 32-bit word.
    pub fn read_u32(&self, address: u64) -> Result<u32, OutOfBounds> {
        let mut buf = [0; 4];
        self.read(address, &mut buf)?;
        Ok(u32::from_le_bytes(buf))
    }

    /// A little-endian 64-bit word.
    pub fn read_u64(&self, address: u64) -> Result<u64, OutOfBounds> {
        let mut buf = [0; 8];
        self.read(address, &mut buf)?;
        Ok(u64::from_le_bytes(buf))
    }

    /// A C string of at most `max` bytes, without its NUL; what lies before the end of memory if there is no NUL.
    pub fn read_cstr(&self, address: u64, max: u64) -> Vec<u8> {
        let len = max.min(self.size().saturating_sub(address));
        let mut bytes = self.read_vec(address, len).unwrap_or_default();
        if let Some(nul) = bytes.iter().position(|&b| b == 0) {
            bytes.truncate(nul);
        }
        bytes
    }

    /// A hash of the contents: every host page that is not all zero, with its number, in order; and the size.
    ///
    /// Only pages that were ever touched are looked at, so it costs what the guest uses, not what it could.
    pub fn hash(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&self.size().to_le_bytes());
        let mut page = [0u8; HOST_PAGE];
        for number in self.touched_pages() {
            if self.read(number as u64 * HOST_PAGE as u64, &mut page).is_ok() && page.iter().any(|&b| b != 0) {
                hasher.update(&(number as u64).to_le_bytes());
                hasher.update(&page);
            }
        }
        hasher.digest()
    }

    /// Bytes of the host's memory that the contents take: what the guest has touched, in pages of the host.
    pub fn backed_bytes(&self) -> u64 {
        (self.touched_pages().len() * HOST_PAGE) as u64
    }

    /// Numbers of the host pages that are, or may be, backed by memory: of an anonymous mapping all others are zero.
    fn touched_pages(&self) -> Vec<usize> {
        use std::os::unix::fs::FileExt;
        /// Present in memory, or swapped out (Documentation/admin-guide/mm/pagemap.rst).
        const BACKED: u64 = 1 << 63 | 1 << 62;
        let pages = self.size() as usize / HOST_PAGE;
        let first = self.0.base.as_ptr() as usize / HOST_PAGE;
        let Ok(pagemap) = std::fs::File::open("/proc/self/pagemap") else { return (0..pages).collect() };
        let mut touched = Vec::new();
        let mut buf = vec![0u8; 8 * 4096];
        for chunk in (0..pages).step_by(4096) {
            let len = (pages - chunk).min(4096) * 8;
            if pagemap.read_exact_at(&mut buf[..len], (first + chunk) as u64 * 8).is_err() {
                return (0..pages).collect();
            }
            let entries = buf[..len].chunks_exact(8).enumerate();
            touched.extend(entries.filter_map(|(i, entry)| {
                let entry = u64::from_le_bytes(entry.try_into().ok()?);
                (entry & BACKED != 0).then_some(chunk + i)
            }));
        }
        touched
    }

    /// What Wasmtime's configuration needs to make memories over this mapping, and over that of a `second` memory.
    pub fn creator(&self, second: &GuestMemory) -> Arc<dyn MemoryCreator> {
        Arc::new(Creator { first: self.clone(), second: second.clone() })
    }

    /// Awaits `made`, in which the first memory that Wasmtime creates is the guest's and the next is the second of
    /// [`Self::creator`]. It must not suspend.
    pub async fn attaching<T>(&self, made: impl Future<Output = T>) -> T {
        self.0.attaching.store(2, Ordering::Relaxed);
        let made = made.await;
        self.0.attaching.store(0, Ordering::Relaxed);
        made
    }

    /// Awaits `made`, in which the memory that Wasmtime creates is `map`. It must not suspend.
    pub async fn lending<T>(&self, map: &GuestMemory, made: impl Future<Output = T>) -> T {
        *self.0.lent.lock().unwrap_or_else(PoisonError::into_inner) = Some(map.clone());
        let made = made.await;
        *self.0.lent.lock().unwrap_or_else(PoisonError::into_inner) = None;
        made
    }
}

impl Mapping {
    fn grow_to(&self, wanted: usize) -> Result<(), rustix::io::Errno> {
        let size = self.size.load(Ordering::Relaxed);
        if wanted <= size {
            return Ok(());
        }
        if wanted > self.limit {
            return Err(rustix::io::Errno::NOMEM);
        }
        // SAFETY: within the mapping; the pages were inaccessible and hold nothing.
        unsafe {
            mprotect(self.base.as_ptr().add(size).cast(), wanted - size, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        self.size.store(wanted, Ordering::Relaxed);
        Ok(())
    }
}

/// One store's view of a mapping.
struct View {
    mapping: Arc<Mapping>,
    /// What this store was told the size is; at most the mapping's.
    size: usize,
}

// SAFETY: the mapping is page-aligned, reserved whole with its guard, never moves and outlives the view.
unsafe impl LinearMemory for View {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        RESERVED
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        self.mapping.grow_to(new_size)?;
        self.size = new_size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.mapping.base.as_ptr()
    }
}

struct Creator {
    first: GuestMemory,
    second: GuestMemory,
}

// SAFETY: every view is over a mapping that is reserved for at least what Wasmtime asks, guard included, or refused.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if reserved.unwrap_or(0) > RESERVED || guard > GUARD {
            return Err(format!("a reservation of {reserved:?} + {guard} bytes is more than the machine makes"));
        }
        let attaching = &self.first.0.attaching;
        // The engine also makes a heap for exceptions in this way. It has no limit; the machine's memories have one.
        let left = if ty.maximum().is_some() { attaching.load(Ordering::Relaxed) } else { 0 };
        if left > 0 {
            attaching.store(left - 1, Ordering::Relaxed);
        }
        let lent = self.first.0.lent.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| ty.maximum().is_some());
        let mapping = match left {
            _ if lent.is_some() => lent.map_or_else(|| self.second.0.clone(), |lent| lent.0),
            2 => self.first.0.clone(),
            1 => self.second.0.clone(),
            // A memory of a module's own: private, and zero.
            _ => Arc::new(Mapping {
                base: reserve().map_err(|e| e.to_string())?,
                size: AtomicUsize::new(0),
                limit: maximum.unwrap_or(RESERVED).min(RESERVED),
                attaching: AtomicUsize::new(0),
                lent: Mutex::new(None),
            }),
        };
        mapping.grow_to(minimum).map_err(|e| e.to_string())?;
        let size = minimum.max(mapping.size.load(Ordering::Relaxed));
        Ok(Box::new(View { mapping, size }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_contents_alone() {
        let (a, b) = (GuestMemory::new(4, 100).unwrap(), GuestMemory::new(4, 100).unwrap());
        assert_eq!(a.hash(), b.hash());
        a.write(70_000, b"hello").unwrap();
        assert_ne!(a.hash(), b.hash());
        // Touched, but zero again: the same as never touched.
        b.write(1000, &[1]).unwrap();
        b.write(1000, &[0]).unwrap();
        b.write(70_000, b"hello").unwrap();
        assert_eq!(a.hash(), b.hash());
        b.write(70_000, &[0; 5]).unwrap();
        b.write(74_096, b"hello").unwrap();
        assert_ne!(a.hash(), b.hash(), "the same bytes elsewhere");
    }

    #[test]
    fn bounds() {
        let memory = GuestMemory::new(1, 3).unwrap();
        assert_eq!(memory.write(65534, &[1, 2, 3]), Err(OutOfBounds { address: 65534, len: 3 }));
        assert!(memory.read_vec(u64::MAX, 2).is_err());
        assert_eq!(memory.grow(2), Some(1));
        assert_eq!(memory.grow(1), None);
        memory.write(65534, &[1, 2, 3]).unwrap();
        assert_eq!(memory.read_vec(65533, 5).unwrap(), [0, 1, 2, 3, 0]);
        assert_eq!(memory.read_cstr(65534, 100), [1, 2, 3]);
        assert!(matches!(GuestMemory::new(4, 3), Err(MemoryError::TooBig { pages: 4, available: 3 })));
    }
}
