//! `wkdb debug`: a guest under the debugger, with a prompt, or with commands from the command line or a pipe.

mod machine;
mod paint;
mod prompt;
mod recording;
mod session;

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context;
use wkdb_debugger::commands::{Config, Debugger, Leave, Output, script_lines};

use self::machine::Machine;
use self::prompt::{Prompt, Typed};
use self::session::{Next, Session};
use super::demo::{EraChoice, demo_guest};
use super::run::{Guest, Prepared, RunOptions, linux_guest, prepare};
use super::{Exit, UsageError, replay};
use crate::machine::Pace;
use crate::recording::replayable::Named;
use crate::session::{Live, Rewindable};

/// Arguments of `wkdb debug`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The kernel: vmlinux as a Wasm module; or `linux` or `demo`, the bundled guests; or a recording (FILE.wkr).
    kernel: PathBuf,
    /// With `demo`: the bug to plant (`wkdb demo list`).
    name: Option<String>,
    /// The initramfs (cpio, as the kernel wants it).
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Of a recording that does not have it: its kernel.
    #[arg(long = "kernel", value_name = "FILE")]
    named_kernel: Option<PathBuf>,
    /// With `demo`: the generation of the host contract that the guest follows.
    #[arg(long, value_enum, default_value_t)]
    era: EraChoice,
    /// Run the commands of this file, a line each. Repeatable.
    #[arg(short = 'x', long = "commands", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run this command, after those of files. Repeatable.
    #[arg(short = 'e', long = "eval", value_name = "COMMAND", allow_hyphen_values = true)]
    commands: Vec<String>,
    /// Stay at the prompt after -x and -e.
    #[arg(short, long)]
    interactive: bool,
    /// Look for source files in this directory. Repeatable.
    #[arg(long = "directory", value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Keep no history: the guest cannot be gone back in, and takes less memory.
    #[arg(long)]
    no_history: bool,
    #[command(flatten)]
    options: RunOptions,
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Args { kernel, name, initrd, era, files, commands, interactive, directories, mut options, .. } = args;
    let limits = options.history.limits();
    let symbols = std::mem::take(&mut options.symbols);
    let mut lines = Vec::new();
    for path in &files {
        let text = std::fs::read(path).with_context(|| format!("cannot read the commands in {}", path.display()))?;
        lines.extend(script_lines(&String::from_utf8_lossy(&text)));
    }
    lines.extend(commands);
    if !options.watch.is_empty() {
        return Err(UsageError("use the command `watch EXPR --log` in place of --watch".into()).into());
    }
    if options.json {
        return Err(UsageError("--json is for `wkdb run`: a debugging session has no closing line".into()).into());
    }
    if options.tui {
        return Err(UsageError("--tui is for `wkdb run`, `wkdb demo` and `wkdb replay`".into()).into());
    }
    let bundled = initrd.is_none() && !kernel.exists();
    let demo = bundled && kernel.as_os_str() == "demo";
    if name.is_some() && !demo {
        return Err(UsageError("only `wkdb debug demo` takes the name of a bug".into()).into());
    }
    let config =
        |bundled_sources| Config { source_directories: directories, symbol_directories: symbols, bundled_sources };
    let person = lines.is_empty() && io::stdin().is_terminal();
    if replay::is_recording(&kernel) {
        if args.no_history {
            return Err(UsageError("a recording is a history: --no-history is for a live guest".into()).into());
        }
        let named = Named { kernel: args.named_kernel, initramfs: initrd };
        let opened = recording::open(&kernel, &named, limits)?;
        let debugger = Debugger::new(config(opened.sources));
        let session = Session::new(opened.machine, debugger, &opened.about)?;
        return finish(session, lines, interactive, person);
    }
    if args.named_kernel.is_some() {
        return Err(
            UsageError("--kernel names the kernel of a recording: for a live guest, it comes first".into()).into()
        );
    }
    let guest = if demo {
        demo_guest(name.as_deref(), era, &mut options)?
    } else if bundled && kernel.as_os_str() == "linux" {
        linux_guest(&mut options)?
    } else {
        Guest::of_files(kernel, initrd)
    };
    // The scenes' watches are for those who look on.
    options.watch.clear();
    // A session is not a run that ends with its script.
    let to_its_script = options.until.is_empty();
    let pace = options.pace.unwrap_or(if person { Pace::Real } else { Pace::Warp });
    options.pace = Some(pace);
    let debugger = Debugger::new(config(guest.sources()));
    let Prepared { mut config, code, .. } = prepare(&guest, options, true)?;
    if to_its_script {
        config.until.clear();
    }
    let machine = match args.no_history {
        true => Machine::Plain(Box::new(Live::start(config)?)),
        false => Machine::WithPast(Box::new(Rewindable::start(config, limits)?)),
    };
    let session = Session::new(machine, debugger, &Output::new())?;
    let exit = finish(session, lines, interactive, person);
    drop(code);
    exit
}

/// Goes through the session, and says with what exit code it ends.
fn finish(session: Session, lines: Vec<String>, interactive: bool, person: bool) -> anyhow::Result<Exit> {
    let session = Rc::new(RefCell::new(session));
    let ended = converse(&session, lines, interactive || person)?;
    if ended == Next::Leave(Leave::Detach) {
        session.borrow_mut().run_to_its_end()?;
    }
    let session = session.borrow();
    Ok(match session.ended() {
        _ if session.has_failed() && !person => Exit::Failed,
        Some((outcome, _)) if ended == Next::Leave(Leave::Detach) => Exit::of(outcome),
        _ => Exit::Ok,
    })
}

/// Runs the commands given, then what is typed or piped in.
fn converse(session: &Rc<RefCell<Session>>, lines: Vec<String>, prompt: bool) -> anyhow::Result<Next> {
    let given = !lines.is_empty();
    for line in lines {
        session.borrow_mut().echo(&line)?;
        if let leave @ Next::Leave(_) = session.borrow_mut().run(&line)? {
            return Ok(leave);
        }
    }
    if prompt && io::stdin().is_terminal() {
        return ask(session);
    }
    if !given || prompt {
        for line in io::stdin().lock().lines() {
            let line = line.context("cannot read commands from standard input")?;
            session.borrow_mut().echo(&line)?;
            if let leave @ Next::Leave(_) = session.borrow_mut().run(&line)? {
                return Ok(leave);
            }
        }
    }
    Ok(Next::Leave(Leave::Quit))
}

/// A person's session.
fn ask(session: &Rc<RefCell<Session>>) -> anyhow::Result<Next> {
    let mut prompt = Prompt::new(Rc::clone(session))?;
    eprintln!("wkdb: `help` lists the commands; `continue` lets the guest run, Ctrl-C stops it, Ctrl-D leaves");
    let next = loop {
        let next = match prompt.read()? {
            Typed::Line(line) => session.borrow_mut().run(&line)?,
            Typed::Nothing => Next::Command,
            Typed::End => Next::Leave(Leave::Quit),
        };
        match next {
            Next::Command => {}
            Next::Leave(Leave::Quit) => {
                let over = session.borrow().ended().is_some();
                if over || prompt.ask("The guest has not ended. Leave, and end it? (y or n) ")? {
                    break next;
                }
            }
            leave => break leave,
        }
    };
    prompt.close();
    Ok(next)
}
