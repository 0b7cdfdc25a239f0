//! Detectors that read the kernel's structures, on minik and Linux: planted bugs are found, early, and nothing else is.

#[path = "../support/collect.rs"]
mod collect;

mod clean;
mod linux;
mod minik;
mod quirk;
mod run;
