//! How Wasmtime is set up: one configuration for compiling and for running, so that cached code fits.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm, WasmBacktraceDetails};

use super::memory::GuestMemory;

/// Room for the Wasm frames of one runner: about what browsers give a worker.
const WASM_STACK: usize = 1 << 20;
/// A fiber's whole stack: the Wasm frames and the host's own, which nested signal handlers add to.
const FIBER_STACK: usize = 2 << 20;
/// Frames shown of a call stack; a guest that overflows its stack has thousands.
pub(super) const MAX_FRAMES: usize = 256;

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
        .wasm_backtrace_max_frames(NonZeroUsize::new(MAX_FRAMES))
        .native_unwind_info(false)
        .memory_init_cow(false)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK);
    if options.debug {
        config.guest_debug(true);
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
