//! Views of memory that a test made up.

mod fake;
mod garbage;
mod walks;
