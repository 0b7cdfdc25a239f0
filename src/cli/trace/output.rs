//! Where a trace goes: lines on standard output, and files in other programs' formats.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use wkdb_tracer::RunnerId;
use wkdb_tracer::trace::export::{Ctf, Export, Perfetto, TraceDat, write_flamegraph};
use wkdb_tracer::trace::{Phase, Profile, TraceEvent, to_json, to_text};

/// A format of `--export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Perfetto,
    Ctf,
    TraceDat,
    Folded,
    Flamegraph,
}

/// `FORMAT=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExportArg {
    pub(super) format: Format,
    pub(super) path: PathBuf,
}

impl FromStr for ExportArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let formats = [
            ("perfetto", Format::Perfetto),
            ("ctf", Format::Ctf),
            ("trace.dat", Format::TraceDat),
            ("folded", Format::Folded),
            ("flamegraph", Format::Flamegraph),
            ("json", Format::Json),
            ("text", Format::Text),
        ];
        let names = formats.map(|(name, _)| name).join(", ");
        let (name, path) = text
            .split_once('=')
            .filter(|(_, path)| !path.is_empty())
            .ok_or_else(|| format!("write FORMAT=PATH, as in perfetto=boot.pftrace; formats are {names}"))?;
        let found = formats.into_iter().find(|(format, _)| *format == name);
        let (_, format) = found.ok_or_else(|| format!("there is no format {name}; there are {names}"))?;
        Ok(ExportArg { format, path: path.into() })
    }
}

/// Lines of text or JSON.
struct Lines {
    out: Box<dyn Write>,
    what: String,
    json: bool,
}

/// Everything that is written.
pub(super) struct Outputs {
    lines: Vec<Lines>,
    exports: Vec<(PathBuf, Box<dyn Export>)>,
    /// What is written of the profile, when it is complete.
    profiles: Vec<ExportArg>,
    /// Of each task, whether what it began last was exported.
    begun: HashMap<RunnerId, Vec<bool>>,
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::new(file))
}

impl Outputs {
    /// Opens all that was asked for; with `shown`, standard output too.
    pub(super) fn open(exports: &[ExportArg], json: bool, shown: bool) -> anyhow::Result<Outputs> {
        let mut outputs =
            Outputs { lines: Vec::new(), exports: Vec::new(), profiles: Vec::new(), begun: HashMap::new() };
        if shown {
            let out = Box::new(BufWriter::new(io::stdout()));
            outputs.lines.push(Lines { out, what: "standard output".into(), json });
        }
        for ExportArg { format, path } in exports {
            let export: Box<dyn Export> = match format {
                Format::Text | Format::Json => {
                    let (out, what) = (Box::new(create(path)?), path.display().to_string());
                    outputs.lines.push(Lines { out, what, json: *format == Format::Json });
                    continue;
                }
                Format::Folded | Format::Flamegraph => {
                    // Said now, not after the run.
                    create(path)?;
                    outputs.profiles.push(ExportArg { format: *format, path: path.clone() });
                    continue;
                }
                Format::Perfetto => Box::new(Perfetto::new(create(path)?)),
                Format::TraceDat => Box::new(TraceDat::new(create(path)?)),
                Format::Ctf => Box::new(Ctf::create(path).with_context(|| format!("cannot write {}", path.display()))?),
            };
            outputs.exports.push((path.clone(), export));
        }
        Ok(outputs)
    }

    /// Writes an event that `passes` the filters, or does not. Exports have an end exactly where they have its begin.
    pub(super) fn event(&mut self, event: &TraceEvent, passes: bool) -> anyhow::Result<()> {
        let begun = self.begun.entry(event.thread.runner).or_default();
        let exported = match event.phase {
            Phase::Begin => {
                begun.push(passes);
                passes
            }
            Phase::End => begun.pop().unwrap_or(false),
            Phase::Instant => passes,
        };
        if passes {
            for Lines { out, what, json } in &mut self.lines {
                let line = if *json { to_json(event).to_string() } else { to_text(event) };
                writeln!(out, "{line}").with_context(|| format!("cannot write to {what}"))?;
            }
        }
        if exported {
            for (path, export) in &mut self.exports {
                export.event(event).with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Completes everything.
    pub(super) fn finish(self, profile: &Profile, title: &str) -> anyhow::Result<()> {
        for Lines { mut out, what, .. } in self.lines {
            out.flush().with_context(|| format!("cannot write to {what}"))?;
        }
        for (path, mut export) in self.exports {
            export.finish().with_context(|| format!("cannot write {}", path.display()))?;
        }
        for ExportArg { format, path } in self.profiles {
            let mut out = create(&path)?;
            let written = match format {
                Format::Flamegraph => write_flamegraph(profile, title, &mut out),
                _ => profile.write_folded(&mut out),
            };
            written.and_then(|()| out.flush()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
