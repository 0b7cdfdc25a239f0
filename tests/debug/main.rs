//! `wkdb debug`, through the real binary.
//!
//! Every file in `tests/sessions` is a written session: what a person types, and all that is said. The guest does the
//! same in every run, so all of it is compared. `BLESS=1` renews what is expected; a new session needs only its `$` and
//! `(wkdb)` lines before.

mod prompt;
mod sessions;
mod streams;

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program, with code kept among the tests' files.
fn wkdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    command.env("WKDB_CACHE_DIR", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("code"));
    command.env("XDG_STATE_HOME", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state"));
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}
