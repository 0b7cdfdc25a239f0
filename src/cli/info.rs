//! `wkdb info`: what a module is, and what the host would refuse; or what a recording holds.

use std::path::PathBuf;

use anyhow::Context;

use super::{Exit, print, recording_info, replay};
use crate::contract::ModuleInfo;

/// Arguments of `wkdb info`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A kernel, a user image, or a recording.
    module: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let path = args.module.display();
    if replay::is_recording(&args.module) {
        return recording_info::run(&args.module, args.json);
    }
    let bytes = std::fs::read(&args.module).with_context(|| format!("cannot read {path}"))?;
    let info = ModuleInfo::of(&bytes).with_context(|| format!("{path}"))?;
    if args.json {
        print(serde_json::to_string_pretty(&info)? + "\n")?;
    } else {
        print(info.to_string())?;
    }
    Ok(Exit::Ok)
}
