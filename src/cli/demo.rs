//! TEMPORARY
use super::Exit;
#[derive(clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_: Args) -> anyhow::Result<Exit> {
    Ok(Exit::Ok)
}
