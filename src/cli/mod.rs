//! The command line: a subcommand a file, each with its own `run`.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::process;

mod bisect;
mod branch;
mod console;
mod debug;
mod demo;
mod detect;
mod exit;
mod explain;
mod gdb;
mod hunt;
mod info;
mod inspect;
mod prepare;
mod progress;
mod record;
mod recording_info;
mod replay;
mod run;
mod session;
mod trace;
pub mod tui;

pub use exit::{Exit, USAGE};

/// A command line that makes no sense: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The Wasm kernel debugging workbench: boots Linux/Wasm kernels outside the browser, the same way every time.
#[derive(Parser)]
#[command(name = "wkdb", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot a kernel and show its console.
    Run(Box<run::Args>),
    /// Boot the bundled demo guest, with a bug if one is named.
    Demo(Box<demo::Args>),
    /// Debug a guest: breakpoints, watches, source lines and variables, at a prompt or by a script.
    Debug(Box<debug::Args>),
    /// Run a recording again, exactly, and check that it is the same run.
    Replay(Box<replay::Args>),
    /// Say what the kernel of a recorded guest says of itself at some moment: tasks, CPUs, timers, workqueues, log …
    Inspect(inspect::Args),
    /// Explain what went wrong in a recorded run: from its symptom back to who did it.
    Explain(explain::Args),
    /// Run a guest on many seeds: how many go wrong, how, and the shortest recording of each way.
    Hunt(Box<hunt::Args>),
    /// Run a recording again up to a moment, and go on from there in another way.
    Branch(Box<branch::Args>),
    /// Run a recording again and tell what went on in it: tasks, system calls, interrupts, functions, where ticks went.
    Trace(Box<trace::Args>),
    /// Say what a module is (era, imports, memory, debug info, what the host would refuse), or what a recording holds.
    Info(info::Args),
    /// Print a script for gdb: Wasm in `x/i` and `disassemble`, and `info wkdb`.
    GdbScript,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The machine process; started by wkdb itself.
    #[command(name = process::MACHINE_SUBCOMMAND, hide = true)]
    Machine,
}

/// Writes to standard output.
///
/// # Errors
///
/// Where it cannot be written to, as when its reader has gone.
fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

/// Runs what the command line asks for.
///
/// # Errors
///
/// What went wrong on our side; how a guest ended is an [`Exit`].
pub fn main() -> anyhow::Result<Exit> {
    // A file that may not grow any more (ulimit -f) is an error like a full disk, not the end of the program.
    let noticed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, noticed).context("cannot handle signals")?;
    match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Demo(args) => demo::run(*args),
        Command::Debug(args) => debug::run(*args),
        Command::Replay(args) => replay::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Hunt(args) => hunt::run(*args),
        Command::Branch(args) => branch::run(*args),
        Command::Trace(args) => trace::run(&args),
        Command::Info(args) => info::run(&args),
        Command::GdbScript => print(wkdb_debugger::gdb::GDB_SCRIPT).map(|()| Exit::Ok),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "wkdb", &mut script);
            print(&script)?;
            Ok(Exit::Ok)
        }
        Command::Machine => process::run_machine_process().map(|()| Exit::Ok),
    }
}
