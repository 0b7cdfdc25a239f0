//! Views of memory that a test made up.

pub(super) mod fake;
pub(super) mod garbage;
pub(super) mod shapes;
mod walks;
