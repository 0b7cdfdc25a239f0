//! A value that stays on the thread that made it, in places that ask for values that could move.
//!
//! Wasmtime wants the data of a store, and the futures of host functions, to be `Send`: it cannot know that this
//! program polls its fibers on one thread. [`OneThread`] promises that and checks it at each access. (The `send_wrapper`
//! crate does the same; asking the standard library which thread this is takes a tenth of a task switch.)
//!
//! # Unsafe
//!
//! `Send` and `Sync` are implemented for any contents. That is sound because nothing but the thread that made the value
//! gets to the contents, not even to drop them: each thread has a number that no other thread ever has, and
//! dereferencing panics unless it is the maker's.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

/// The last number that a thread got.
static LAST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread's number; 0 until somebody asks.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

fn this_thread() -> u64 {
    match NUMBER.get() {
        0 => {
            let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            NUMBER.set(number);
            number
        }
        number => number,
    }
}

/// Contents that only the thread that made them can reach.
pub(super) struct OneThread<T> {
    contents: ManuallyDrop<T>,
    thread: u64,
}

// SAFETY: see the module's header.
unsafe impl<T> Send for OneThread<T> {}
// SAFETY: see the module's header.
unsafe impl<T> Sync for OneThread<T> {}

impl<T> OneThread<T> {
    pub(super) fn new(contents: T) -> Self {
        OneThread { contents: ManuallyDrop::new(contents), thread: this_thread() }
    }
}

impl<T> Deref for OneThread<T> {
    type Target = T;

    /// # Panics
    ///
    /// On another thread than the one that made it: a mistake of this program's, whatever the guest does.
    fn deref(&self) -> &T {
        assert_eq!(self.thread, this_thread(), "a machine's state was reached from another thread");
        &self.contents
    }
}

impl<T: Clone> Clone for OneThread<T> {
    fn clone(&self) -> Self {
        OneThread::new(T::clone(self))
    }
}

impl<T> Drop for OneThread<T> {
    /// On another thread the contents are leaked.
    fn drop(&mut self) {
        if self.thread == this_thread() {
            // SAFETY: this is the only place that drops the contents, and nobody uses them after it.
            unsafe { ManuallyDrop::drop(&mut self.contents) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn other_threads_do_not_reach_the_contents() {
        let mine = Rc::new(7);
        let wrapped = OneThread::new(mine.clone());
        assert_eq!(**wrapped.clone(), 7);
        assert_eq!(Rc::strong_count(&mine), 2, "the clone is gone");
        let other = std::thread::spawn(move || {
            let reached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| **wrapped));
            assert!(reached.is_err());
            drop(wrapped);
        });
        other.join().expect("nothing else panics");
        assert_eq!(Rc::strong_count(&mine), 2, "leaked rather than dropped elsewhere");
    }
}
