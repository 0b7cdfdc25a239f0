//! Brings compiled code into memory in the largest pieces that the processor can map.
//!
//! Each task has a mapping of its own of code for a debugger, so that breakpoints can be put into it. How quickly that
//! runs depends on how the page cache holds the file: in pieces of 2 MiB a new task takes one page fault and the processor
//! one entry of its TLB for each; in pieces of 4 KiB, which is how a file comes in that is read fault by fault, Linux's
//! boot takes a sixth longer. Files that were written in one go are held in large pieces already.
//!
//! # Unsafe
//!
//! A file is mapped, and read there. [`Mapped`] owns the mapping; files of the store do not change while they are read.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::ptr::{NonNull, null_mut, slice_from_raw_parts_mut};

use object::{Object, ObjectSection};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// A file, mapped to be read.
struct Mapped(NonNull<[u8]>);

impl Mapped {
    fn new(file: &File) -> io::Result<Mapped> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        // SAFETY: a new mapping, at a place of the kernel's choice.
        let base = unsafe { mmap(null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        Ok(Mapped(NonNull::new(slice_from_raw_parts_mut(base.cast(), len)).ok_or(io::ErrorKind::OutOfMemory)?))
    }

    /// Tells the kernel something of its first bytes, so many of them.
    fn advise(&self, len: usize, advice: Advice) -> io::Result<()> {
        assert!(len <= self.0.len(), "{len} bytes are more than the file has");
        // SAFETY: they are mapped, and neither advice that is given here changes what is read from them.
        unsafe { madvise(self.0.as_ptr().cast(), len, advice) }?;
        Ok(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody else knows of it.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), self.0.len()) };
    }
}

/// Where in a file of compiled code the code is. None if this is no such file.
pub(super) fn text(file: &[u8]) -> Option<Range<usize>> {
    let elf = object::File::parse(file).ok()?;
    let (start, size) = elf.section_by_name(".text")?.file_range()?;
    let (start, size) = (usize::try_from(start).ok()?, usize::try_from(size).ok()?);
    let range = start..start.checked_add(size)?;
    (range.end <= file.len()).then_some(range)
}

/// Brings in the code of a file of compiled code, unless it is there, and waits for it.
///
/// # Errors
///
/// Where the file cannot be mapped or holds no code, or where the kernel does not know the request (before Linux 5.14).
/// The code can be used all the same.
pub(super) fn bring_in(path: &Path) -> io::Result<()> {
    let mapped = Mapped::new(&File::open(path)?)?;
    // Before anything is read: what has come in in small pieces stays so. Kernels without large pages refuse this.
    let _ = mapped.advise(mapped.0.len(), Advice::LinuxHugepage);
    // SAFETY: files of the store are replaced as a whole, never written to or cut short.
    let text = text(unsafe { mapped.0.as_ref() }).ok_or(io::ErrorKind::InvalidData)?;
    mapped.advise(text.end, Advice::LinuxPopulateRead)
}
