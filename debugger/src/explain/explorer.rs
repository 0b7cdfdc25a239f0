//! Going about in a run that remembers its past, step by step: each question waits for its answer.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use wkdb_tracer::{CodeAddress, CodeOffset, Event, Frame, ModuleId, RunnerId, Tick, WasmValue, WatchHit};

use super::body::Body;
use super::code::Code;
use super::place::{Place, Stack};
use crate::inferior::{
    BreakpointSpec, Found, FrameState, Goal, History, Inferior, InferiorError, Notice, Position, Result, Resume,
    Search, Status, Stop, StopReason, WatchCondition, WatchKind, WatchSpec, Writes,
};
use crate::kernel::Kernel;
use crate::symbols::Symbols;

/// How long something is waited for at once: so long it may stay unseen that the explanation is to be given up.
const PATIENCE: Duration = Duration::from_millis(100);

/// How far back is looked for an instruction, in ticks, before all of history is.
const WINDOWS: [u64; 3] = [2_000, 60_000, 2_000_000];

/// Stops that a look for an instruction makes in one window at most.
const MOST_STOPS: usize = 20_000;

/// Where symbols come from.
pub(crate) trait SymbolSource {
    /// A module's symbols; none where it has none that can be read.
    fn symbols(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Option<Rc<Symbols>>;
}

/// See the module.
pub(super) struct Explorer<'a> {
    pub(super) inferior: &'a mut dyn Inferior,
    symbols: &'a mut dyn SymbolSource,
    /// Says whether somebody wants it to be given up; none where nobody is asked.
    give_up: Option<&'a mut dyn FnMut() -> bool>,
    /// It was.
    given_up: bool,
    codes: HashMap<ModuleId, Option<Rc<Code>>>,
    bodies: HashMap<(ModuleId, u32), Option<Rc<Body>>>,
    /// When what stands still is looked at, if that is not the end of the run.
    pub(super) moment: Option<Goal>,
    /// When a live run stands at a trap that the kernel has not heard of yet.
    pub(super) standing: Option<Tick>,
    /// Places that were asked for.
    known: HashMap<CodeAddress, Vec<Place>>,
}

/// What a wait has come to.
enum Came {
    Stopped(Stop),
    Found(Found),
}

fn refused(text: &str) -> InferiorError {
    InferiorError::Refused(text.to_owned())
}

/// So that whatever is on its way comes to its end; nobody is told this.
fn given_up() -> InferiorError {
    refused("it was given up")
}

impl<'a> Explorer<'a> {
    pub(super) fn new(
        inferior: &'a mut dyn Inferior,
        symbols: &'a mut dyn SymbolSource,
        give_up: &'a mut dyn FnMut() -> bool,
    ) -> Self {
        Explorer {
            inferior,
            symbols,
            give_up: Some(give_up),
            given_up: false,
            codes: HashMap::new(),
            bodies: HashMap::new(),
            moment: None,
            standing: None,
            known: HashMap::new(),
        }
    }

    pub(super) fn history(&mut self) -> Result<&mut dyn History> {
        let text = "there is no past to look into: this machine was started without history";
        self.inferior.history().ok_or_else(|| refused(text))
    }

    pub(super) fn position(&mut self) -> Result<Position> {
        self.history()?.position()
    }

    /// Waits for what was begun. What is only told meanwhile goes to `heard`.
    fn wait(&mut self, heard: &mut dyn FnMut(WatchHit)) -> Result<Came> {
        loop {
            if !self.given_up && self.give_up.as_mut().is_some_and(|asked| asked()) {
                self.given_up = true;
                self.inferior.interrupt()?;
            }
            for notice in self.inferior.notices(PATIENCE)? {
                match notice {
                    // Wherever it has come to: it is not what was waited for.
                    Notice::Stopped(_) | Notice::Found(_) if self.given_up => return Err(given_up()),
                    Notice::Stopped(stop) => return Ok(Came::Stopped(*stop)),
                    Notice::Found(found) => return Ok(Came::Found(*found)),
                    Notice::Event(event) => {
                        if let Event::Watch(hit) = *event {
                            heard(hit);
                        }
                    }
                    Notice::Ended(..) => return Err(refused("the run is over")),
                    Notice::Console(_) | Notice::Module(_) => {}
                }
            }
            if let Status::Ended(..) = self.inferior.status() {
                return Err(refused("the run is over"));
            }
        }
    }

    fn wait_for_stop(&mut self, heard: &mut dyn FnMut(WatchHit)) -> Result<Stop> {
        match self.wait(heard)? {
            Came::Stopped(stop) => Ok(stop),
            Came::Found(_) => Err(refused("the machine did not stop where it was told to")),
        }
    }

    /// Begins nothing more once it is given up: what is on its way from one answer to the next comes to its end.
    fn goes_on(&self) -> Result<()> {
        if self.given_up { Err(given_up()) } else { Ok(()) }
    }

    /// Comes back to where it was before, and asks nobody on the way. Whether it had been given up.
    pub(super) fn come_back(&mut self, to: Position) -> Result<bool> {
        let given_up = std::mem::take(&mut self.given_up);
        self.give_up = None;
        self.go_to(Goal::Position(to))?;
        Ok(given_up)
    }

    /// Goes somewhere.
    pub(super) fn go_to(&mut self, goal: Goal) -> Result<Stop> {
        self.goes_on()?;
        self.history()?.go_to(goal)?;
        self.wait_for_stop(&mut |_| ())
    }

    /// Goes on.
    pub(super) fn resume(&mut self, resume: &Resume) -> Result<Stop> {
        self.goes_on()?;
        self.inferior.resume(resume)?;
        self.wait_for_stop(&mut |_| ())
    }

    fn search(&mut self, search: Search) -> Result<Found> {
        self.goes_on()?;
        self.history()?.search(&search)?;
        match self.wait(&mut |_| ())? {
            Came::Found(found) => Ok(found),
            Came::Stopped(_) => Err(refused("the past was not looked through")),
        }
    }

    /// The last write into a range before now.
    pub(super) fn last_write(&mut self, address: u64, len: u64) -> Result<Option<WatchHit>> {
        Ok(self.search(Search { address, len, which: Writes::Last })?.writes.pop())
    }

    /// All writes into a range before now: the last so many, the earliest first, and how many there are.
    pub(super) fn writes(&mut self, address: u64, len: u64, most: usize) -> Result<(Vec<WatchHit>, u64)> {
        let found = self.search(Search { address, len, which: Writes::All { most } })?;
        Ok((found.writes, found.count))
    }

    /// The first so many reads and writes of ranges before now, and stays here.
    pub(super) fn accesses(&mut self, ranges: &[(u64, u64)], most: usize) -> Result<Vec<WatchHit>> {
        let here = self.position()?;
        self.go_to(Goal::Start)?;
        let mut watches = Vec::new();
        let mut inserted = Ok(());
        for &(address, len) in ranges {
            let condition = WatchCondition::default();
            let spec = WatchSpec { address, len, kind: WatchKind::Access, condition, stop: false };
            match self.inferior.insert_watch(&spec) {
                Ok(watch) => watches.push(watch),
                Err(error) => inserted = Err(error),
            }
        }
        let mut hits: Vec<WatchHit> = Vec::new();
        let ran = inserted.and_then(|()| {
            self.run_to(&here, &mut |hit| {
                if hits.len() < most {
                    hits.push(hit);
                }
            })
        });
        for watch in watches {
            self.inferior.remove_watch(watch)?;
        }
        ran?;
        self.go_to(Goal::Position(here))?;
        Ok(hits)
    }

    /// Runs on to a tick, whatever lies on the way.
    fn run_to(&mut self, to: &Position, heard: &mut dyn FnMut(WatchHit)) -> Result<()> {
        let resume = Resume { until_tick: Some(to.tick), ..Resume::go() };
        let mut heard = |hit: WatchHit| {
            if hit.context.as_ref().is_none_or(|at| (at.tick, at.time) <= (to.tick, to.time)) {
                heard(hit);
            }
        };
        loop {
            let here = self.position()?;
            if here.tick >= to.tick {
                return Ok(());
            }
            self.goes_on()?;
            self.inferior.resume(&resume)?;
            let stop = self.wait_for_stop(&mut heard)?;
            if matches!(stop.reason, StopReason::End(_) | StopReason::HistoryEnd) {
                return Ok(());
            }
        }
    }

    /// Goes back to the last time before now that a runner came to one of these instructions with so many frames below;
    /// gives which. It stands before that instruction then. Without one, it stays here.
    pub(super) fn back_to(
        &mut self,
        candidates: &[CodeAddress],
        runner: RunnerId,
        level: usize,
    ) -> Result<Option<CodeAddress>> {
        let here = self.position()?;
        let start = self.history()?.extent().start.tick;
        for window in WINDOWS.into_iter().map(Some).chain([None]) {
            let from = match window {
                Some(ticks) if here.tick.0 > start.0 + ticks => Goal::Tick(Tick(here.tick.0 - ticks)),
                _ => Goal::Start,
            };
            if let Some(found) = self.last_before(&here, from, candidates, runner, level)? {
                self.go_to(Goal::Position(found))?;
                return Ok(found.address);
            }
            if from == Goal::Start {
                break;
            }
        }
        self.go_to(Goal::Position(here))?;
        Ok(None)
    }

    /// The last time between two points.
    fn last_before(
        &mut self,
        here: &Position,
        from: Goal,
        candidates: &[CodeAddress],
        runner: RunnerId,
        level: usize,
    ) -> Result<Option<Position>> {
        self.go_to(from)?;
        let mut ids = Vec::new();
        for &address in candidates.iter().chain(&here.address) {
            let spec = BreakpointSpec { address, only: Some(runner), temporary: false };
            match self.inferior.insert_breakpoint(&spec) {
                Ok(id) => ids.push(id),
                // The module or the task is not there yet.
                Err(InferiorError::NoCode(_) | InferiorError::NoRunner(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let found = self.last_stop_before(here, candidates, runner, level);
        for id in ids {
            self.inferior.remove_breakpoint(id)?;
        }
        found
    }

    fn last_stop_before(
        &mut self,
        here: &Position,
        candidates: &[CodeAddress],
        runner: RunnerId,
        level: usize,
    ) -> Result<Option<Position>> {
        let mut last = None;
        let resume = Resume { until_tick: Some(Tick(here.tick.0 + 1)), ..Resume::go() };
        for _ in 0..MOST_STOPS {
            if self.position()?.is_past(here) {
                break;
            }
            let stop = self.resume(&resume)?;
            let at = Position::of(&stop);
            if at.same_place(here) || at.is_past(here) || stop.tick > here.tick {
                break;
            }
            if matches!(stop.reason, StopReason::End(_) | StopReason::HistoryEnd) {
                break;
            }
            let candidate = at.runner == Some(runner) && at.address.is_some_and(|at| candidates.contains(&at));
            if candidate && matches!(stop.reason, StopReason::Breakpoint(_)) && self.level(runner)? == Some(level) {
                last = Some(at);
            }
        }
        Ok(last)
    }

    /// How many frames are below a runner's innermost.
    pub(super) fn level(&mut self, runner: RunnerId) -> Result<Option<usize>> {
        Ok(self.inferior.frames(runner)?.len().checked_sub(1))
    }

    /// A frame by how many are below it, with what is in it.
    pub(super) fn frame(&mut self, runner: RunnerId, level: usize) -> Result<Option<FrameState>> {
        let mut states = self.inferior.frame_states(runner)?;
        let depth = states.len().checked_sub(level + 1);
        Ok(depth.map(|depth| states.swap_remove(depth)))
    }

    /// A number in memory.
    pub(super) fn number(&mut self, address: u64, len: u64) -> Option<u64> {
        let bytes = self.inferior.read_memory(address, len).ok()?;
        (bytes.len() as u64 == len && len <= 8)
            .then(|| bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Whether there is memory.
    pub(super) fn is_memory(&mut self, address: u64) -> bool {
        self.inferior.read_memory(address, 1).is_ok_and(|bytes| bytes.len() == 1)
    }

    /// The symbols of a module.
    pub(super) fn symbols(&mut self, module: ModuleId) -> Option<Rc<Symbols>> {
        self.symbols.symbols(self.inferior, module)
    }

    /// The code of a module.
    pub(super) fn code(&mut self, module: ModuleId) -> Option<Rc<Code>> {
        if !self.codes.contains_key(&module) {
            let code = self.inferior.module(module).ok().map(|bytes| Rc::new(Code::read(bytes)));
            self.codes.insert(module, code);
        }
        self.codes.get(&module)?.clone()
    }

    /// A function taken apart.
    pub(super) fn body(&mut self, module: ModuleId, function: u32) -> Option<Rc<Body>> {
        if !self.bodies.contains_key(&(module, function)) {
            let body = self.code(module).and_then(|code| code.body(function)).map(Rc::new);
            self.bodies.insert((module, function), body);
        }
        self.bodies.get(&(module, function))?.clone()
    }

    /// The places of the source at an instruction, innermost first.
    pub(super) fn places(&mut self, address: CodeAddress) -> Vec<Place> {
        if let Some(known) = self.known.get(&address) {
            return known.clone();
        }
        let places = self.places_at(address);
        self.known.insert(address, places.clone());
        places
    }

    fn places_at(&mut self, address: CodeAddress) -> Vec<Place> {
        let module = address.module.0;
        let Some(symbols) = self.symbols(address.module) else {
            return vec![Place { function: format!("code at {}", address.offset), file: None, line: None, module }];
        };
        let frames = symbols.locate(address.offset).frames.into_iter();
        let place = |frame: crate::symbols::SourceFrame| Place {
            function: frame.function,
            line: frame.source.as_ref().and_then(|source| source.line),
            file: frame.source.map(|source| source.file),
            module,
        };
        frames.map(place).collect()
    }

    /// A call stack in the source.
    pub(super) fn stack(&mut self, frames: &[Frame]) -> Stack {
        Stack(frames.iter().flat_map(|frame| self.places(frame.address)).collect())
    }

    /// Looks at the kernel's own structures; none where its module has no debug information.
    pub(super) fn kernel<T>(&mut self, look: impl FnOnce(&Kernel<'_>) -> T) -> Option<T> {
        let symbols = self.symbols(ModuleId::KERNEL).filter(|symbols| symbols.has_dwarf())?;
        Some(look(&Kernel::new(self.inferior, symbols)))
    }

    /// The next instruction behind one.
    pub(super) fn behind(&self, body: &Body, at: usize) -> Option<CodeOffset> {
        body.instructions.get(at + 1).map(|next| next.offset)
    }
}

/// A value as a word of the guest's: no sign.
pub(super) fn word(value: WasmValue) -> Option<u64> {
    match value {
        WasmValue::I32(value) => Some(u64::from(value)),
        WasmValue::I64(value) => Some(value),
        _ => None,
    }
}
