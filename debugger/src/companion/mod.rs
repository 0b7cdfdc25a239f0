//! What lets a stock gdb or lldb debug a Wasm guest: the address space that it is shown.

pub mod layout;
