//! What stops the machine: breakpoints and watches, numbered together as gdb does.

use std::fmt::Write;

use wkdb_tracer::{CodeAddress, Context, RunnerId};

use super::Debugger;
use super::command::WatchOptions;
use super::error::{CommandError, Result};
use super::location::LocationSpec;
use super::output::{Output, Style, Table};
use super::watching::WatchDetails;
use crate::inferior::{BreakpointId, BreakpointSpec, Inferior, WatchId, WatchKind};

/// A breakpoint or a watch.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) number: u32,
    pub(super) enabled: bool,
    /// Gone after its first stop.
    pub(super) temporary: bool,
    /// It stops only if this expression is not zero.
    pub(super) condition: Option<String>,
    /// How many times it is still passed.
    pub(super) ignore: u64,
    /// How often it was come to with its condition true.
    pub(super) hits: u64,
    pub(super) details: Details,
}

/// Which of the two it is.
#[derive(Debug, Clone)]
pub(super) enum Details {
    Break(BreakDetails),
    Watch(Box<WatchDetails>),
}

/// The two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Break,
    Watch,
}

/// A breakpoint.
#[derive(Debug, Clone)]
pub(super) struct BreakDetails {
    /// Where, as it was asked for.
    pub(super) spec: LocationSpec,
    pub(super) only: Option<RunnerId>,
    /// Where that is: several for inlined functions; none until a module has it.
    pub(super) places: Vec<BreakPlace>,
}

/// A place of a breakpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BreakPlace {
    pub(super) address: CodeAddress,
    /// Function, file and line.
    pub(super) text: String,
    /// As the inferior knows it, if it is inserted.
    pub(super) id: Option<BreakpointId>,
}

impl Point {
    pub(super) fn kind(&self) -> Kind {
        match self.details {
            Details::Break(_) => Kind::Break,
            Details::Watch(_) => Kind::Watch,
        }
    }

    /// What it is called in messages.
    pub(super) fn kind_name(&self) -> &'static str {
        match &self.details {
            Details::Break(_) if self.temporary => "Temporary breakpoint",
            Details::Break(_) => "Breakpoint",
            Details::Watch(watch) => match watch.spec.kind {
                WatchKind::Write => "Watch",
                WatchKind::Read => "Read watch",
                WatchKind::Access => "Access watch",
            },
        }
    }
}

/// All breakpoints and watches.
#[derive(Debug, Default)]
pub(super) struct Points {
    last: u32,
    points: Vec<Point>,
}

impl Points {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Result<&mut Point> {
        let point = self.points.iter_mut().find(|point| point.number == number);
        point.ok_or_else(|| CommandError::missing("breakpoint or watch", number))
    }

    /// The numbers that were named, or all where none was; fails if one of them is not there.
    pub(super) fn chosen(&self, numbers: &[u32]) -> Result<Vec<u32>> {
        if numbers.is_empty() {
            return Ok(self.points.iter().map(|point| point.number).collect());
        }
        match numbers.iter().find(|number| self.points.iter().all(|point| point.number != **number)) {
            Some(missing) => Err(CommandError::missing("breakpoint or watch", missing)),
            None => Ok(numbers.to_vec()),
        }
    }

    /// The breakpoint that the inferior knows by this.
    pub(super) fn of_breakpoint(&self, id: BreakpointId) -> Option<u32> {
        let has = |point: &&Point| match &point.details {
            Details::Break(details) => details.places.iter().any(|place| place.id == Some(id)),
            Details::Watch(_) => false,
        };
        self.points.iter().find(has).map(|point| point.number)
    }

    /// The watch that the inferior knows by this.
    pub(super) fn of_watch(&self, id: WatchId) -> Option<u32> {
        let has = |point: &&Point| match &point.details {
            Details::Watch(watch) => watch.id == Some(id),
            Details::Break(_) => false,
        };
        self.points.iter().find(has).map(|point| point.number)
    }
}

impl Debugger {
    /// Numbers a new breakpoint or watch and inserts it. If that fails, there is none.
    pub(super) fn add_point(
        &mut self,
        inferior: &mut dyn Inferior,
        details: Details,
        condition: Option<String>,
        temporary: bool,
        places: Vec<BreakPlace>,
    ) -> Result<u32> {
        let mut point =
            Point { number: self.points.last + 1, enabled: true, temporary, condition, ignore: 0, hits: 0, details };
        match &mut point.details {
            Details::Break(details) => details.places = places,
            Details::Watch(watch) => watch.spec.stop = stops_machine(&watch.options, &point.condition),
        }
        insert(inferior, &mut point)?;
        let number = point.number;
        self.points.last = number;
        self.points.points.push(point);
        Ok(number)
    }

    /// Takes a breakpoint or watch away.
    pub(super) fn delete_point(&mut self, inferior: &mut dyn Inferior, number: u32) -> Result<()> {
        remove(inferior, self.points.get_mut(number)?)?;
        self.points.points.retain(|point| point.number != number);
        Ok(())
    }

    /// Lets a breakpoint or watch stop, or not.
    pub(super) fn enable_point(&mut self, inferior: &mut dyn Inferior, number: u32, on: bool) -> Result<()> {
        let point = self.points.get_mut(number)?;
        if point.enabled != on {
            if on {
                insert(inferior, point)?
            } else {
                remove(inferior, point)?
            }
            point.enabled = on;
        }
        Ok(())
    }

    /// Gives a breakpoint or watch another condition, or none.
    pub(super) fn set_condition(
        &mut self,
        inferior: &mut dyn Inferior,
        number: u32,
        condition: Option<String>,
    ) -> Result<()> {
        let point = self.points.get_mut(number)?;
        if let Details::Watch(watch) = &mut point.details {
            let stop = stops_machine(&watch.options, &condition);
            if watch.spec.stop != stop {
                let inserted = watch.id.is_some();
                remove(inferior, point)?;
                if let Details::Watch(watch) = &mut point.details {
                    watch.spec.stop = stop;
                }
                if inserted {
                    insert(inferior, point)?;
                }
            }
        }
        point.condition = condition;
        Ok(())
    }

    /// Looks for the places of breakpoints again, now that there is another module. Gives what to tell of it.
    pub(super) fn resolve_again(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let mut out = Output::new();
        let specs: Vec<(u32, LocationSpec)> = self
            .points
            .iter()
            .filter_map(|point| match &point.details {
                Details::Break(details) => Some((point.number, details.spec.clone())),
                Details::Watch(_) => None,
            })
            .collect();
        for (number, spec) in specs {
            self.resolving_again = true;
            let found = self.resolve(inferior, &spec).unwrap_or_default();
            self.resolving_again = false;
            let point = self.points.get_mut(number)?;
            let Details::Break(details) = &mut point.details else { continue };
            let known = |place: &BreakPlace| details.places.iter().any(|other| other.address == place.address);
            let new: Vec<BreakPlace> = found.into_iter().filter(|place| !known(place)).collect();
            if new.is_empty() {
                continue;
            }
            for place in &new {
                out.line(format!("Breakpoint {number} is now also at {}", place.text));
            }
            details.places.extend(new);
            if point.enabled {
                insert(inferior, point)?;
            }
        }
        Ok(out)
    }

    /// Whether a module that comes could have the place of a breakpoint.
    pub(super) fn has_pending(&self) -> bool {
        self.points.iter().any(|point| match &point.details {
            Details::Break(details) => point.enabled && !matches!(details.spec, LocationSpec::Address(..)),
            Details::Watch(_) => false,
        })
    }

    /// What is said about a new breakpoint or watch.
    pub(super) fn describe_new_point(&mut self, _inferior: &mut dyn Inferior, number: u32) -> Output {
        let mut out = Output::new();
        let Ok(point) = self.points.get_mut(number) else { return out };
        let name = point.kind_name();
        match &point.details {
            Details::Break(details) => match &details.places[..] {
                [] => {
                    let text = spec_text(&details.spec);
                    out.line(format!("{name} {number} ({text}) is pending: no module has this place yet"));
                }
                [place] => {
                    out.line(format!("{name} {number} at {}: {}", address_text(place.address), place.text));
                }
                places => {
                    out.line(format!("{name} {number} at {} places:", places.len()));
                    for place in places {
                        out.line(format!("  {}: {}", address_text(place.address), place.text));
                    }
                }
            },
            Details::Watch(watch) => {
                let (address, len) = (watch.spec.address, watch.spec.len);
                let bytes = if len == 1 { "byte" } else { "bytes" };
                out.line(format!("{name} {number}: {} ({len} {bytes} at {address:#x})", watch.expression));
                if let Some(note) = &watch.note {
                    out.line(format!("  {note}"));
                }
            }
        }
        out
    }

    /// The list of breakpoints and watches.
    pub(super) fn list_points(&mut self, _inferior: &mut dyn Inferior, only: Option<Kind>) -> Output {
        let mut table = Table::new(["Num", "Type", "Disp", "Enb", "Address", "What"]);
        let mut any = false;
        for point in self.points.iter().filter(|point| only.is_none_or(|kind| kind == point.kind())) {
            any = true;
            let kind = match &point.details {
                Details::Break(_) => "breakpoint",
                Details::Watch(watch) => match watch.spec.kind {
                    WatchKind::Write => "watch",
                    WatchKind::Read => "rwatch",
                    WatchKind::Access => "awatch",
                },
            };
            let (address, what) = match &point.details {
                Details::Break(details) => match &details.places[..] {
                    [] => ("<pending>".to_owned(), spec_text(&details.spec)),
                    [place] => (address_text(place.address), place.text.clone()),
                    places => (format!("<{} places>", places.len()), spec_text(&details.spec)),
                },
                Details::Watch(watch) => {
                    (format!("{:#x}:{}", watch.spec.address, watch.spec.len), watch.expression.clone())
                }
            };
            table.row([
                (point.number.to_string(), None),
                (kind.to_owned(), None),
                (if point.temporary { "del" } else { "keep" }.to_owned(), None),
                (if point.enabled { "y" } else { "n" }.to_owned(), None),
                (address, Some(Style::Address)),
                (what, None),
            ]);
            let mut remark = |text: String| table.row([(format!("      {text}"), None)]);
            if let Details::Watch(watch) = &point.details {
                for text in watch.remarks() {
                    remark(text);
                }
            }
            if let Details::Break(BreakDetails { only: Some(runner), .. }) = &point.details {
                remark(format!("only in task {}", runner.0 + 1));
            }
            if let Some(condition) = &point.condition {
                remark(format!("only if {condition}"));
            }
            match point.hits {
                0 => {}
                1 => remark("come to once".to_owned()),
                hits => remark(format!("come to {hits} times")),
            }
            match point.ignore {
                0 => {}
                1 => remark("passed the next time".to_owned()),
                count => remark(format!("passed the next {count} times")),
            }
            if let Details::Break(details) = &point.details
                && details.places.len() > 1
            {
                for (n, place) in details.places.iter().enumerate() {
                    remark(format!("{}.{} {} {}", point.number, n + 1, address_text(place.address), place.text));
                }
            }
        }
        if !any {
            return Output::from(match only {
                Some(Kind::Watch) => "No watches.\n",
                _ => "No breakpoints or watches.\n",
            });
        }
        table.into_output()
    }

    /// Whether a breakpoint or watch that was come to stops: its condition is true and it is not to be passed. A
    /// condition that cannot be evaluated stops, with the reason.
    pub(super) fn point_stops(
        &mut self,
        inferior: &mut dyn Inferior,
        number: u32,
        context: Option<&Context>,
        problems: &mut Output,
    ) -> bool {
        let Ok(point) = self.points.get_mut(number) else { return false };
        let condition = point.condition.clone();
        if let Some(condition) = condition {
            if let Some(context) = context {
                self.select_task(context.runner);
            }
            match self.evaluate(inferior, &condition).and_then(|value| self.is_true(inferior, &value)) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    let _ = writeln!(problems, "The condition {condition:?} cannot be evaluated: {error}");
                }
            }
        }
        let Ok(point) = self.points.get_mut(number) else { return false };
        point.hits += 1;
        if point.ignore > 0 {
            point.ignore -= 1;
            return false;
        }
        true
    }
}

/// Whether a watch stops the machine: also one that only logs, where it has a condition to be looked at.
fn stops_machine(options: &WatchOptions, condition: &Option<String>) -> bool {
    !options.log || condition.is_some()
}

/// Inserts what of it is not inserted. On failure what was inserted by this call is taken out again.
fn insert(inferior: &mut dyn Inferior, point: &mut Point) -> Result<()> {
    match &mut point.details {
        Details::Break(details) => {
            let mut inserted = Vec::new();
            for place in 0..details.places.len() {
                if details.places[place].id.is_some() {
                    continue;
                }
                let address = details.places[place].address;
                let spec = BreakpointSpec { address, only: details.only, temporary: false };
                match inferior.insert_breakpoint(&spec) {
                    Ok(id) => {
                        details.places[place].id = Some(id);
                        inserted.push(place);
                    }
                    Err(error) => {
                        for place in inserted {
                            if let Some(id) = details.places[place].id.take() {
                                // The first failure is the one to tell of.
                                let _ = inferior.remove_breakpoint(id);
                            }
                        }
                        return Err(error.into());
                    }
                }
            }
        }
        Details::Watch(watch) => watch.id = Some(inferior.insert_watch(&watch.spec)?),
    }
    Ok(())
}

fn remove(inferior: &mut dyn Inferior, point: &mut Point) -> Result<()> {
    match &mut point.details {
        Details::Break(details) => {
            for place in &mut details.places {
                if let Some(id) = place.id {
                    inferior.remove_breakpoint(id)?;
                    place.id = None;
                }
            }
        }
        Details::Watch(watch) => {
            if let Some(id) = watch.id {
                inferior.remove_watch(id)?;
                watch.id = None;
            }
        }
    }
    Ok(())
}

/// A place in code: `0x1234` in the kernel, `2:0x1234` in module 2. `*` before it makes a location of it.
pub(super) fn address_text(address: CodeAddress) -> String {
    match address.module.0 {
        0 => address.offset.to_string(),
        module => format!("{module}:{}", address.offset),
    }
}

/// A location as one types it.
pub(super) fn spec_text(spec: &LocationSpec) -> String {
    let file = |file: &Option<String>| file.as_ref().map(|file| format!("{file}:")).unwrap_or_default();
    match spec {
        LocationSpec::Address(module, offset) => {
            format!("*{}", address_text(CodeAddress { module: *module, offset: *offset }))
        }
        LocationSpec::Line { file: f, line } => format!("{}{line}", file(f)),
        LocationSpec::Function { file: f, name } => format!("{}{name}", file(f)),
        LocationSpec::Offset(lines) => format!("{lines:+}"),
    }
}
