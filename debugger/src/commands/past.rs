//! The past of the run: going there, keeping places in it, looking for writes in it.

use wkdb_tracer::{Event, ModuleId, Tick, WatchHit, Writer};

use super::Debugger;
use super::command::goto::no_history;
use super::command::{Goto, RunTo};
use super::error::{CommandError, Result};
use super::events::{self, bytes, who};
use super::output::{Output, Style, Table};
use super::plan::Plan;
use super::words::{nearest, parse_number};
use crate::explain::Explanation;
use crate::inferior::{Found, Goal, History, Inferior, Position, Search, SearchEnd, Status, Writes};
use crate::symbols::TypeId;

/// Places in history that have names.
pub(super) type Bookmarks = Vec<Bookmark>;

/// A place in history that has a name.
#[derive(Debug, Clone)]
pub(super) struct Bookmark {
    pub(super) name: String,
    at: Position,
    /// What was there, in words.
    place: String,
}

/// Where memory lies, how long it is, and what is there, if that is known.
pub(super) type Lies = (u64, u64, Option<(ModuleId, TypeId)>);

/// Memory that was asked about.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// As it was typed.
    text: String,
    address: u64,
    len: u64,
    ty: Option<(ModuleId, TypeId)>,
}

/// The history of a run that is stopped.
fn history(inferior: &mut dyn Inferior) -> Result<&mut dyn History> {
    if let Status::Running = inferior.status() {
        return Err(CommandError::refused("the machine is running: `interrupt` it first"));
    }
    inferior.history().ok_or_else(no_history)
}

impl Debugger {
    /// Goes to a moment of the run.
    pub(super) fn go_to(&mut self, inferior: &mut dyn Inferior, goto: Goto) -> Result<()> {
        let goal = match goto {
            Goto::Start => Goal::Start,
            Goto::End => Goal::End,
            Goto::Present => Goal::Present,
            Goto::Moment(moment) => {
                let extent = history(inferior)?.extent();
                let ahead = match moment {
                    RunTo::Tick(tick) => tick > extent.present.tick,
                    RunTo::Time(time) => time > extent.present.time,
                };
                if ahead && extent.recording.is_none() {
                    // Nobody knows yet what lies there: it has to be run.
                    return self.resume(inferior, Plan::To(moment));
                }
                match moment {
                    RunTo::Tick(tick) => Goal::Tick(tick),
                    RunTo::Time(time) => Goal::Time(time),
                }
            }
            Goto::Event(number) => {
                let events = history(inferior)?.milestones();
                let event = number.checked_sub(1).and_then(|number| events.get(number));
                let event = event.ok_or_else(|| {
                    CommandError::refused(format!("there is no event {number}: `info events` lists {}", events.len()))
                })?;
                Goal::Tick(event.at.tick)
            }
            Goto::Bookmark(name) => {
                let known = self.bookmarks.iter().find(|bookmark| bookmark.name == name);
                let known = known.ok_or_else(|| CommandError::Missing {
                    what: "bookmark",
                    near: nearest(&name, self.bookmarks.iter().map(|bookmark| bookmark.name.as_str())),
                    name: name.clone(),
                })?;
                Goal::Position(known.at)
            }
        };
        Ok(history(inferior)?.go_to(goal)?)
    }

    /// Keeps the place where the run is.
    pub(super) fn set_bookmark(&mut self, inferior: &mut dyn Inferior, name: Option<String>) -> Result<Output> {
        let at = history(inferior)?.position()?;
        let place = match self.selected_frame(inferior) {
            Ok((_, view)) => view.place(),
            Err(_) => String::new(),
        };
        let free = || {
            (1u32..)
                .map(|n| n.to_string())
                .find(|name| self.bookmarks.iter().all(|bookmark| bookmark.name != *name))
                .unwrap_or_default()
        };
        let name = name.unwrap_or_else(free);
        self.bookmarks.retain(|bookmark| bookmark.name != name);
        let said = format!("Bookmark {name} at tick {}: `goto bookmark {name}` leads here\n", at.tick);
        self.bookmarks.push(Bookmark { name, at, place });
        Ok(said.into())
    }

    /// Forgets a bookmark.
    pub(super) fn delete_bookmark(&mut self, name: &str) -> Result<()> {
        let before = self.bookmarks.len();
        self.bookmarks.retain(|bookmark| bookmark.name != name);
        if self.bookmarks.len() == before {
            return Err(CommandError::missing("bookmark", name));
        }
        Ok(())
    }

    /// `info bookmarks`.
    pub(super) fn bookmark_list(&self) -> Output {
        if self.bookmarks.is_empty() {
            return "No bookmarks: `bookmark [NAME]` keeps the place where the run is.\n".into();
        }
        let mut table = Table::new(["Name", "Tick", "Time", "Place"]);
        for Bookmark { name, at, place } in &self.bookmarks {
            table.row([
                (name.clone(), None),
                (at.tick.to_string(), None),
                (at.time.to_string(), None),
                (place.clone(), Some(Style::Place)),
            ]);
        }
        table.into_output()
    }

    /// `checkpoints`.
    pub(super) fn checkpoint_list(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let history = history(inferior)?;
        let (checkpoints, limits) = (history.checkpoints(), history.limits());
        let mut table = Table::new(["Num", "Tick", "Time", "Memory"]);
        for (number, checkpoint) in checkpoints.iter().enumerate() {
            table.row([
                (number.to_string(), None),
                (checkpoint.tick.to_string(), None),
                (checkpoint.time.to_string(), None),
                (size(checkpoint.cost), None),
            ]);
        }
        let mut out = table.into_output();
        let cost = checkpoints.iter().map(|checkpoint| checkpoint.cost).sum();
        out.line(format!(
            "{}, {} of at most {}; one every {} ticks, at most {}",
            count(checkpoints.len()),
            size(cost),
            size(limits.memory),
            limits.spacing,
            limits.count + 1,
        ));
        Ok(out)
    }

    /// `info history`.
    pub(super) fn history_info(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let (now, time) = self.moment(inferior)?;
        let history = history(inferior)?;
        let extent = history.extent();
        let mut out = Output::new();
        out.line(format!("from tick {} time {}", extent.start.tick, extent.start.time));
        out.line(format!("to   tick {} time {}, the present", extent.present.tick, extent.present.time));
        let shown = if extent.in_the_past { "in the past" } else { "the present" };
        out.line(format!("now  tick {now} time {time}, {shown}"));
        if let Some(recording) = &extent.recording {
            let end = recording.end;
            out.line(format!("a recording, {}, to tick {} time {}", recording.name, end.tick, end.time));
            out.line(match &recording.outcome {
                Some(outcome) => super::notice::outcome_text(outcome),
                None => "It was cut off there.".to_owned(),
            });
        }
        let checkpoints = history.checkpoints();
        let cost = checkpoints.iter().map(|checkpoint| checkpoint.cost).sum();
        out.line(format!("{}, {} (`checkpoints` lists them)", count(checkpoints.len()), size(cost)));
        Ok(out)
    }

    /// `info events`: what happened, with numbers for `goto event`.
    pub(super) fn event_list(&mut self, inferior: &mut dyn Inferior, wanted: Option<&str>) -> Result<Output> {
        let events: Vec<_> = history(inferior)?.milestones().to_vec();
        let mut table = Table::new(["Num", "Event"]);
        let mut shown = 0;
        for (number, milestone) in events.iter().enumerate() {
            let common = matches!(milestone.event, Event::TaskBorn { .. } | Event::TaskGone { .. });
            if wanted.is_none() && common {
                continue;
            }
            let mut text = events::line(&milestone.event, |frame| self.place_of(inferior, frame));
            if milestone_has_no_context(&milestone.event) {
                text = format!("tick {} time {}: {text}", milestone.at.tick, milestone.at.time);
            }
            if wanted.is_some_and(|word| word != "all" && !text.contains(word)) {
                continue;
            }
            shown += 1;
            table.row([((number + 1).to_string(), None), (text, None)]);
        }
        let mut out = if shown > 0 { table.into_output() } else { Output::new() };
        let hidden = events.len() - shown;
        if wanted.is_none() && hidden > 0 {
            out.line(format!("and {hidden} births and deaths of tasks (`info events all`, `info events WORD`)"));
        } else if shown == 0 {
            out.line("No such events so far.");
        }
        Ok(out)
    }

    /// Explains what went wrong in the run, from its symptom back; see [`explain`](crate::explain). It is shown where it
    /// was before afterwards. Whoever [`Debugger::give_up_when`] asks can have it given up.
    ///
    /// # Errors
    /// It runs, there is no past, or the machine is gone. What cannot be found out is told in the explanation.
    pub fn explain(&mut self, inferior: &mut dyn Inferior) -> Result<Explanation> {
        history(inferior)?;
        Ok(crate::explain::explain(inferior, &mut self.modules, &mut self.give_up)?)
    }

    /// Has the past looked through for writes.
    pub(super) fn look_for_writes(
        &mut self,
        inferior: &mut dyn Inferior,
        what: &str,
        which: Writes,
        go: bool,
    ) -> Result<()> {
        history(inferior)?;
        let asked = self.asked_about(inferior, what)?;
        let Asked { address, len, .. } = asked;
        match go {
            true => history(inferior)?.go_to(Goal::LastWrite { address, len })?,
            false => history(inferior)?.search(&Search { address, len, which })?,
        }
        self.asked = Some(asked);
        Ok(())
    }

    /// Which memory is meant by `EXPR`, `ADDRESS`, `EXPR LEN` or `ADDRESS LEN`.
    fn asked_about(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<Asked> {
        /// A word, where nobody says how long it is.
        const WORD: u64 = 4;
        let place = |debugger: &mut Debugger, inferior: &mut dyn Inferior, text: &str| match parse_number(text) {
            Some(address) => Ok((address, WORD, None)),
            None => debugger.written_place(inferior, text),
        };
        let whole = place(self, inferior, text);
        let split = text.rsplit_once(char::is_whitespace).and_then(|(front, len)| Some((front, parse_number(len)?)));
        let (address, len, ty) = match (whole, split) {
            (Ok(whole), _) => whole,
            (Err(_), Some((_, 0))) => {
                return Err(CommandError::refused("a length of 0 is nothing that can be written"));
            }
            (Err(error), Some((front, len))) => {
                let (address, _, _) = place(self, inferior, front.trim()).map_err(|_| error)?;
                (address, len, None)
            }
            (Err(error), None) => return Err(error),
        };
        let last = len.checked_sub(1).and_then(|more| address.checked_add(more));
        let there =
            last.is_some_and(|last| inferior.read_memory(last, 1).is_ok() && inferior.read_memory(address, 1).is_ok());
        if !there {
            return Err(crate::inferior::InferiorError::NoMemory { address, len }.into());
        }
        Ok(Asked { text: text.to_owned(), address, len, ty })
    }

    /// Tells of what a search has found.
    pub(super) fn found(&mut self, inferior: &mut dyn Inferior, found: &Found) -> Output {
        let asked = self.asked.take().unwrap_or_else(|| Asked {
            text: format!("{:#x}", found.search.address),
            address: found.search.address,
            len: found.search.len,
            ty: None,
        });
        let mut out = Output::new();
        match &found.ending {
            SearchEnd::Complete => {}
            SearchEnd::Interrupted => {
                out.mark(Style::Problem, "Interrupted before all of history was looked through.").push("\n");
            }
            SearchEnd::Failed(reason) => {
                out.mark(Style::Problem, format!("Not all of history was looked through: {reason}")).push("\n");
            }
        }
        match (found.search.which, &found.writes[..]) {
            (_, []) if found.ending == SearchEnd::Complete && found.count == 0 => {
                let start = inferior.history().map(|history| history.extent().start.tick).unwrap_or(Tick(0));
                out.line(format!(
                    "Nothing has written to {} since the start of history at tick {start}: what is there was there then.",
                    asked.title()
                ));
            }
            (Writes::Last, [hit, ..]) => {
                out.append(&self.last_write_report(inferior, &asked, hit));
            }
            (Writes::Last, []) => {}
            (Writes::All { .. }, hits) => {
                out.append(&self.write_table(inferior, &asked, hits, found.count));
            }
        }
        out
    }

    /// The last write, with the call stack that led to it.
    fn last_write_report(&mut self, inferior: &mut dyn Inferior, asked: &Asked, hit: &WatchHit) -> Output {
        let mut out = Output::new();
        out.mark(Style::Headline, format!("Last write to {}", asked.title())).push("\n");
        let (old, new) = self.written_values(inferior, asked, hit);
        out.line(format!("  old = {old}")).line(format!("  new = {new}"));
        out.line(format!("  {}", self.who_did_it(inferior, hit)));
        if let Some(context) = &hit.context {
            out.mark(Style::Task, format!("task {} {}", context.runner.0 + 1, who(context))).push("\n");
        } else {
            out.line("before the first task runs");
        }
        if let Writer::Guest { stack } = &hit.writer {
            let views = self.views(inferior, stack);
            for view in &views {
                out.append(&view.line());
            }
            if let Some(view) = views.first() {
                out.append(&self.source_line(view));
            }
        }
        out.line(format!("(`who-wrote --go {}` goes there)", asked.text));
        out
    }

    /// What was there before and after a write: by its type if all of it was written, else in bytes.
    pub(super) fn written_values(
        &mut self,
        inferior: &mut dyn Inferior,
        asked: &Asked,
        hit: &WatchHit,
    ) -> (String, String) {
        let whole = hit.address == asked.address && hit.new.len() as u64 == asked.len;
        let mut text = |part: &[u8]| {
            let (module, ty) = asked.ty.filter(|_| whole)?;
            self.format_bytes(inferior, module, ty, part.to_vec())
        };
        match (text(&hit.old), text(&hit.new)) {
            (Some(old), Some(new)) => (old, new),
            _ => (bytes(&hit.old), bytes(&hit.new)),
        }
    }

    fn write_table(&mut self, inferior: &mut dyn Inferior, asked: &Asked, hits: &[WatchHit], count: u64) -> Output {
        let mut table = Table::new(["Tick", "Time", "Task", "CPU", "Old", "New", "By"]);
        for hit in hits {
            let (old, new) = self.written_values(inferior, asked, hit);
            let at = match hit.address == asked.address {
                true => String::new(),
                false => format!(" at {:#x}", hit.address),
            };
            let (tick, time, task, cpu) = match &hit.context {
                Some(at) => (at.tick.to_string(), at.time.to_string(), at.comm.clone(), at.cpu.to_string()),
                None => Default::default(),
            };
            let by = self.writer_text(inferior, &hit.writer);
            table.row([
                (tick, None),
                (time, None),
                (task, Some(Style::Task)),
                (cpu, None),
                (old, None),
                (new + &at, None),
                (by, Some(Style::Place)),
            ]);
        }
        let mut out = Output::new();
        let shown = hits.len() as u64;
        let which = if shown < count { format!(", the last {shown} of them") } else { String::new() };
        let writes = if count == 1 { "write" } else { "writes" };
        out.mark(Style::Headline, format!("{count} {writes} to {}{which}", asked.title())).push("\n");
        if shown > 0 {
            out.append(&table.into_output());
        }
        out
    }
}

impl Asked {
    /// `worker->pool (4 bytes at 0x1e8f4)`.
    pub(super) fn title(&self) -> String {
        let unit = if self.len == 1 { "byte" } else { "bytes" };
        format!("{} ({} {unit} at {:#x})", self.text, self.len, self.address)
    }
}

fn milestone_has_no_context(event: &Event) -> bool {
    matches!(event, Event::Complaint { .. } | Event::Finding(_)) && event.context().is_none()
}

fn count(checkpoints: usize) -> String {
    format!("{checkpoints} checkpoint{}", if checkpoints == 1 { "" } else { "s" })
}

/// An amount of memory, for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}
