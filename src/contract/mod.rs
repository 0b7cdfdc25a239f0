//! What a module means to the host: which imports it asks for, which exports it offers, and what the host refuses.
//!
//! ```text
//! bytes ─▶ sections (frames) ─▶ Outline (types, imports, exports, symbols) ─▶ KernelModule | UserModule
//!                                          │                                        or all refusals at once
//!                                          └─▶ info::ModuleInfo, what `wkdb info` prints
//! ```
//!
//! Knows nothing of the engine: it reads the binary with wasmparser and judges it by the host contract.

mod active_data;
mod const_eval;
mod debug_info;
mod error;
mod exports;
mod imports;
pub mod info;
mod kernel;
mod memory;
mod outline;
mod sections;
mod types;
mod user;

#[cfg(test)]
mod tests;

pub use active_data::active_data;
pub use debug_info::{DwarfSummary, NameSummary};
pub use error::{ContractError, Refusal};
pub use imports::ImportKind;
pub use info::ModuleInfo;
pub use kernel::{Era, KERNEL_EXPORTS, KernelImport, KernelModule};
pub use outline::{DylinkInfo, Import, Outline};
pub use sections::Section;
pub use types::{ExternType, FuncType, MemoryShape, PointerWidth};
pub use user::{USER_EXPORTS, UserImport, UserImportKind, UserModule};
