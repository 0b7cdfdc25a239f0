//! `wkdb demo`: the bundled guest, with or without a planted bug.

use anyhow::Context;
use clap::ValueEnum;
use wkdb_tracer::GuestTime;

use super::run::{Bundled, Guest, RunOptions, boot};
use super::{Exit, UsageError};
use crate::demo::{self, Files, SCENES};

/// Arguments of `wkdb demo`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A bug to plant; without one, the guest just runs. `list` says what there is.
    name: Option<String>,
    /// The generation of the host contract that the guest follows.
    #[arg(long, value_enum, default_value_t)]
    era: EraChoice,
    #[command(flatten)]
    options: RunOptions,
}

/// A generation of the host contract.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum EraChoice {
    /// Linux 6.4.
    #[value(name = "6.4")]
    Era6_4,
    /// Linux 7.0.
    #[default]
    #[value(name = "7.0")]
    Era7_0,
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Args { name, era, mut options } = args;
    match name.as_deref() {
        Some("linux") => return super::run::boot_linux(options),
        Some("list") => {
            for scene in SCENES {
                println!("{:16} {}", scene.name, scene.about);
            }
            println!("{:16} a real Linux kernel; `--append wkdbbug=NAME` plants one of its bugs", "linux");
            return Ok(Exit::Ok);
        }
        _ => {}
    }
    boot(demo_guest(name.as_deref(), era, &mut options)?, options)
}

/// minik, with a bug planted if one is named.
pub(super) fn demo_guest(name: Option<&str>, era: EraChoice, options: &mut RunOptions) -> anyhow::Result<Guest> {
    if let Some(name) = name {
        let known = || SCENES.iter().map(|scene| scene.name).collect::<Vec<_>>().join(", ");
        let scene = demo::scene(name)
            .ok_or_else(|| UsageError(format!("there is no demo called {name:?}; there are: {}", known())))?;
        stage(scene, options)?;
    }
    let kernel = match era {
        EraChoice::Era6_4 => demo::KERNEL_6_4,
        EraChoice::Era7_0 => demo::KERNEL_7_0,
    };
    let files = Files::write(kernel).context("cannot write the demo guest to a temporary directory")?;
    let (kernel, initrd) = (files.kernel(), Some(files.initramfs()));
    Ok(Guest { kernel, initrd, bundled: Some(Bundled::Minik { _files: files }) })
}

/// Sets what a scene needs and the command line leaves open.
fn stage(scene: &demo::Scene, options: &mut RunOptions) -> anyhow::Result<()> {
    eprintln!("wkdb: {}: {}", scene.name, scene.about);
    let bug = format!("bug={}", scene.name);
    options.append = Some(match options.append.take() {
        Some(append) => format!("{bug} {append}"),
        None => bug,
    });
    options.seed = options.seed.or(Some(scene.seed));
    // The watches are for those who look on.
    if options.watch.is_empty() && !options.tui {
        let watch = scene.watch.iter().map(|watch| watch.parse().map_err(anyhow::Error::msg));
        options.watch = watch.collect::<Result<_, _>>()?;
    }
    if options.input.is_none() && !scene.script.is_empty() {
        options.script_text = Some(scene.script.to_owned());
    }
    if options.max_time.is_none() {
        options.max_time = Some(GuestTime(scene.seconds * 1_000_000_000));
    }
    Ok(())
}
