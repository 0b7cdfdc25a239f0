//! How Wasmtime is set up: one configuration for compiling and for running, so that cached code fits.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm, WasmBacktraceDetails};

use super::memory::{GUARD, GuestMemory};
use crate::code_cache::CALL_STACK;
use crate::instrument::UNCOUNTED_STACK;

/// Room on a fiber's stack for the host's own frames, besides those of Wasm.
const HOST_STACK: usize = 1 << 20;
/// Frames shown of a call stack; a guest that overflows its stack has thousands.
pub(super) const MAX_FRAMES: usize = 256;
/// Frames that the engine captures for those: each may have one between it and its caller that only the rewriter knows of,
/// and a check may have one below.
const ENGINE_FRAMES: usize = 2 * MAX_FRAMES + 1;

/// Room for the Wasm frames of one runner. Its calls end where the rewriter's count says, which is the same in all
/// variants: the engine's own limit must not come first. Measured on Linux and minik, frames take up to 1.5 times the
/// estimate, 2.6 times in code for a debugger, 33 times if it is not optimised. Only what is touched takes memory.
fn wasm_stack(opt_level: OptLevelChoice) -> usize {
    let times = match opt_level {
        OptLevelChoice::Speed => 6,
        OptLevelChoice::None => 48,
    };
    // The kernel and a user program have some that nobody counts.
    (CALL_STACK + 2 * UNCOUNTED_STACK) as usize * times
}

/// How much Cranelift optimises the guest's code. The guest computes the same either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub enum OptLevelChoice {
    /// Slow code, compiled fast.
    None,
    /// Fast code.
    #[default]
    Speed,
}

/// What an engine is made for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EngineOptions {
    /// Optimisation of the guest's code.
    pub opt_level: OptLevelChoice,
    /// For a debugger: breakpoints can be set in the code, and its locals and operand stacks can be read. It runs
    /// slower, and computes the same.
    pub debug: bool,
}

fn config(options: EngineOptions) -> Config {
    let mut config = Config::new();
    config
        .wasm_threads(true)
        .wasm_memory64(true)
        .wasm_multi_memory(true)
        .wasm_tail_call(true)
        .wasm_extended_const(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_exceptions(true)
        .wasm_wide_arithmetic(true)
        .wasm_branch_hinting(true)
        // Two runs are the same run on any machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        // Frames are shown by the original module's symbols, which Wasmtime never sees.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(ENGINE_FRAMES))
        .native_unwind_info(false)
        .memory_init_cow(false)
        .memory_guard_size(GUARD as u64)
        .max_wasm_stack(wasm_stack(options.opt_level))
        .async_stack_size(wasm_stack(options.opt_level) + HOST_STACK);
    if options.debug {
        // Each operator stores what it computes for the debugger to read. What an optimiser finds equal is kept apart all
        // the same, only in more registers than there are: without it this code is smaller and 4 % faster (Linux's boot).
        config.guest_debug(true).cranelift_opt_level(OptLevel::None);
    }
    if options.opt_level == OptLevelChoice::None {
        config.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    config
}

/// An engine that compiles, on all cores. Not for a process that is to fork: it starts threads.
///
/// # Errors
///
/// Where Wasmtime does not support the host.
pub fn compiling(options: EngineOptions) -> wasmtime::Result<Engine> {
    Engine::new(&config(options))
}

/// An engine that runs a machine on `memory`, with what is watched on `watch_map`, and compiles what the guest loads on the calling thread.
///
/// # Errors
///
/// Where Wasmtime does not support the host.
pub fn running(options: EngineOptions, memory: &GuestMemory, watch_map: &GuestMemory) -> wasmtime::Result<Engine> {
    let creator = memory.creator(watch_map);
    Engine::new(config(options).parallel_compilation(false).with_host_memory(creator))
}
