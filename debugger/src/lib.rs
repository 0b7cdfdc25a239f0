//! What a debugger knows about a guest that does not depend on what runs it: symbols, and the port ([`inferior`])
//! through which everything is asked of the guest.

pub mod inferior;
pub mod symbols;
pub mod timeline;
