//! Stock debuggers attached to real guests.
//!
//! Every file in `sessions` and in `lldb` is a written [transcript]: what a person types at the debugger, and what is in the
//! answer. Those in `sessions` are played with every gdb that there is: `gdb` on the `PATH`, or those in `WKDB_TEST_GDBS`
//! (paths, separated by colons). lldb is `lldb-22` or `lldb` on the `PATH`, or `WKDB_TEST_LLDB`. Without a debugger, its tests
//! have nothing to do, and say so.

mod clients;
mod dap;
mod debuggers;
mod guest;
mod interrupts;
mod kernel_scripts;
mod lldb;
mod lldb_sessions;
mod recorded;
mod reverse;
mod reverse_linux;
mod sessions;
mod speed;
mod symbols;
mod transcript;
