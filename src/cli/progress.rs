//! The progress bar of a compilation.
//!
//! Wasmtime has no call that says how far it is, but it logs a line for every function that it has compiled: those are
//! counted.

use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};
use log::{LevelFilter, Log, Metadata, Record};

/// Where Wasmtime says that a function is compiled, and how that line goes on behind the function's name.
const TARGET: &str = "wasmtime_internal_cranelift::compiler";
const COMPILED: &str = "` compiled in ";

/// Counts the lines, and lets all others go.
struct Counter(ProgressBar);

impl Log for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && record.args().to_string().contains(COMPILED) {
            // There are also a few trampolines: the bar waits at its end for the last of them.
            let done = (self.0.position() + 1).min(self.0.length().unwrap_or(0));
            self.0.set_position(done);
        }
    }

    fn flush(&self) {}
}

/// Shows a bar for the compilation of so many functions; nothing where standard error is not a terminal.
pub(super) fn start(functions: u32) -> ProgressBar {
    static LOGGER: OnceLock<Counter> = OnceLock::new();
    let bar = ProgressBar::new(u64::from(functions));
    let style = ProgressStyle::with_template("compiling the kernel, once: {bar:30} {pos}/{len} functions, {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    if log::set_logger(LOGGER.get_or_init(|| Counter(bar.clone()))).is_ok() && !bar.is_hidden() {
        log::set_max_level(LevelFilter::Debug);
    }
    bar
}

/// Takes the bar away.
pub(super) fn stop(bar: ProgressBar) {
    log::set_max_level(LevelFilter::Off);
    bar.finish_and_clear();
}
