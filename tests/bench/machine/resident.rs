//! How much memory a machine takes, measured in a process of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::{Failure, config, run};
use wkdb_tracer::GuestTime;

/// The argument by which this program knows that it is to measure one machine.
const CHILD: &str = "resident";

/// What a process with a machine has of the host's memory, in bytes.
pub(crate) struct Resident {
    total: u64,
    /// The part of it that is the guest's own memory.
    guest: u64,
    tasks: u64,
}

/// The memory of a machine at the end of its run.
pub(crate) fn measure(
    kernel: &Path,
    initramfs: Option<&Path>,
    command_line: &str,
    cache: &Path,
) -> Result<Resident, Failure> {
    let mut child = Command::new(std::env::current_exe()?);
    child.arg(CHILD).args([kernel, cache]).arg(command_line).args(initramfs);
    // The first run compiles.
    child.output()?;
    let output = child.output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [total, guest, tasks] => Ok(Resident { total, guest, tasks }),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// What each of `tasks` more tasks costs.
pub(crate) fn text(few: &Resident, many: &Resident, tasks: u32) -> String {
    assert_eq!(many.tasks - few.tasks, u64::from(tasks), "tasks were made");
    let each = |of: fn(&Resident) -> u64| (of(many).saturating_sub(of(few)) / u64::from(tasks)) as f64 / 1024.0;
    let (total, guest) = (each(|r| r.total), each(|r| r.guest));
    format!("{:.1} KiB (and {guest:.1} KiB of the guest's own memory)", total - guest)
}

/// If this process is to measure one machine: does so.
pub(crate) fn child() -> Option<Result<(), Failure>> {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != CHILD);
    arguments.next()?;
    Some(report(arguments.collect()))
}

fn report(arguments: Vec<OsString>) -> Result<(), Failure> {
    let [kernel, cache, command_line, initramfs @ ..] = &arguments[..] else { return Err("arguments".into()) };
    let mut config = config(kernel.as_ref(), &command_line.to_string_lossy(), cache.as_ref());
    config.initrd = initramfs.first().map(PathBuf::from);
    config.max_time = Some(GuestTime(2_000_000_000));
    let run = run(config)?;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("no resident pages")?.parse()?;
    let page = rustix::param::page_size() as u64;
    println!("{} {} {}", pages * page, run.machine.memory().backed_bytes(), run.totals.tasks_alive);
    Ok(())
}
