//! Lines backwards: to the beginning of the line before, or of this one from its middle.
//!
//! ```text
//!   Leave: an instruction back ─▶ Enter: back through the line that it is in ─▶ Settle: an instruction forward
//!     ▲                              │ into another part of it, or a function called in it: again
//!     └── more lines to go ──────────┴──────────────────────────────▲
//! ```

use std::ops::Range;

use wkdb_tracer::{CodeOffset, RunnerId};

use super::Debugger;
use super::error::Result;
use super::output::Output;
use super::plan::{Line, Plan, Progress, depth};
use crate::inferior::{Direction, Inferior, StepKind};

/// A way back by lines.
#[derive(Debug, Clone)]
pub(super) struct LineBack {
    pub(super) runner: RunnerId,
    /// Functions that were called are run through.
    over: bool,
    /// Lines to go.
    left: u64,
    phase: Phase,
    /// How many frames there are where the line is.
    frames: usize,
    /// The line that is left, then the one that is entered.
    line: Line,
    /// How many functions are active in the line that was left.
    inlined: usize,
    /// Where it began, and with how many frames.
    began: (CodeOffset, usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Back by an instruction, this one.
    Leave(Range<CodeOffset>),
    /// Back out of a function that has no lines, to its call.
    Out,
    /// Back to in front of the line.
    Enter,
    /// In front of it: forward into it.
    Settle(StepKind),
}

fn one(at: CodeOffset) -> Range<CodeOffset> {
    at..CodeOffset(at.0.saturating_add(1))
}

impl LineBack {
    /// From an instruction of a line, which may be its first one.
    pub(super) fn new(
        runner: RunnerId,
        over: bool,
        left: u64,
        frames: usize,
        line: Line,
        (at, at_start): (CodeOffset, bool),
    ) -> Self {
        let phase = if at_start { Phase::Leave(one(at)) } else { Phase::Enter };
        let inlined = line.inlined;
        LineBack { runner, over, left, phase, frames, line, inlined, began: (at, frames) }
    }

    pub(super) fn direction(&self) -> Direction {
        if let Phase::Settle(_) = self.phase { Direction::Forward } else { Direction::Backward }
    }

    /// The step to make now.
    pub(super) fn kind(&self) -> StepKind {
        let range = match &self.phase {
            Phase::Settle(kind) => return kind.clone(),
            Phase::Out => return StepKind::Out,
            Phase::Leave(range) => range.clone(),
            Phase::Enter => self.line.code.clone(),
        };
        if self.over { StepKind::Over(range) } else { StepKind::Into(range) }
    }
}

impl Debugger {
    /// Looks at how far it has come.
    pub(super) fn line_back_progress(&mut self, inferior: &mut dyn Inferior, mut plan: LineBack) -> Result<Progress> {
        let frames = depth(inferior, plan.runner);
        let Some((line, at, _)) = self.line_now(inferior, plan.runner) else {
            return Ok(Progress::Done(Output::new()));
        };
        if let Phase::Settle(_) = plan.phase {
            // A line's code may begin before its first instruction: this was its beginning then.
            let moved = plan.began != (at, frames);
            plan.left -= u64::from(moved);
            if plan.left == 0 {
                return Ok(Progress::Done(Output::new()));
            }
            plan.phase = Phase::Leave(one(at));
            plan.began = (CodeOffset(u32::MAX), frames);
            (plan.frames, plan.inlined, plan.line) = (frames, line.inlined, line);
            self.plan = Plan::LineBack(plan);
            return Ok(Progress::GoOn);
        }
        let entering = plan.phase == Phase::Enter;
        // By this line; or by the line before it, in which case this line's beginning has been come to.
        let called = frames > plan.frames
            && (!entering || self.is_called_by(inferior, plan.runner, frames - plan.frames, &plan.line));
        let here = line.module == plan.line.module && line.function == plan.line.function && frames == plan.frames;
        let same = here && line.source == plan.line.source && line.inlined == plan.line.inlined;
        let inner = plan.over && here && line.inlined > plan.inlined;
        plan.phase = if called && line.source.is_none() {
            Phase::Out
        } else if !entering || same || inner || called {
            // In the line to go to; or in another part of it, or in what it calls.
            (plan.frames, plan.line) = (frames, line);
            plan.inlined = plan.inlined.min(plan.line.inlined);
            Phase::Enter
        } else {
            Phase::Settle(match frames == plan.frames {
                true => StepKind::Over(one(at)),
                // Into the function, from its call; or back from one, behind its last instruction.
                false => StepKind::Instruction,
            })
        };
        self.plan = Plan::LineBack(plan);
        Ok(Progress::GoOn)
    }

    /// Whether the frame so many levels up is at a call in a line.
    fn is_called_by(&mut self, inferior: &mut dyn Inferior, runner: RunnerId, levels: usize, line: &Line) -> bool {
        let frames = inferior.frames(runner).unwrap_or_default();
        let caller = frames.get(levels).map(|frame| frame.address);
        caller.is_some_and(|caller| caller.module == line.module && line.code.contains(&caller.offset))
    }
}
