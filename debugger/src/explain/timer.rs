//! Timer wheels that stand still: whose clock was turned, and by whom.

use super::explorer::Explorer;
use super::slice::Word;
use super::trap::Use;
use super::{Explanation, Step};
use crate::inferior::Result;
use crate::kernel::BaseRow;

/// Jiffies that a wheel's clock may be ahead of the kernel's, or a timer overdue: ten seconds at 100 a second.
const TOO_MANY: i64 = 1000;

/// Timers that are named.
const MOST_TOLD: usize = 4;

impl Explorer<'_> {
    /// Explains a wheel whose clock is ahead, or has fallen behind; whether there is one. The machine stands at the run's
    /// end.
    pub(super) fn explain_timers(&mut self, ahead: bool, explanation: &mut Explanation) -> Result<bool> {
        let bases = self.kernel(|kernel| kernel.timers().bases).unwrap_or_default();
        let stands = |base: &&BaseRow| {
            let is_ahead = base.lag.is_some_and(|lag| lag < -TOO_MANY);
            // Deferrable timers wait for something else to wake their CPU.
            let is_behind = !is_ahead && base.overdue > TOO_MANY as u64 && base.name != "deferrable";
            (if ahead { is_ahead } else { is_behind }) && !base.timers.is_empty()
        };
        // The one that most timers wait in.
        let Some(base) =
            bases.iter().filter(stands).max_by_key(|base| (base.timers.len(), std::cmp::Reverse(base.cpu)))
        else {
            return Ok(false);
        };
        let count = base.timers.len();
        let (clk, lag) = (base.clk.unwrap_or(0), base.lag.unwrap_or(0));
        let how = match lag {
            lag if lag < 0 => format!("{} jiffies ahead of the kernel's: nothing is due before", -lag),
            lag => format!("{lag} jiffies behind the kernel's"),
        };
        let text = format!("cpu{}'s timer wheel ({}) stands still: its clock is {clk}, {how}", base.cpu, base.name);
        let waiting =
            if count == 1 { "one timer waits in it".to_owned() } else { format!("{count} timers wait in it") };
        let mut step = Step::new(text).detail(waiting);
        for timer in base.timers.iter().take(MOST_TOLD) {
            let function = timer.function.as_deref().unwrap_or("?");
            let of = timer.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
            let due = match timer.due_in {
                Some(due) if due < 0 => format!("overdue by {} jiffies", -due),
                Some(due) => format!("due in {due} jiffies"),
                None => "due at an unknown time".to_owned(),
            };
            step = step.detail(format!("{function}{of}, {due}"));
        }
        explanation.steps.push(step);
        let address = base.address;
        let Some((address, len)) = self.kernel(|kernel| kernel.timer_clock(address)).flatten() else {
            return Ok(false);
        };
        if lag >= 0 {
            explanation
                .unknown
                .push("who should have run its timers: its clock was not written by a stranger".to_owned());
            return Ok(true);
        }
        let value = self.number(address, len).unwrap_or(0);
        let step = Step::new(format!("Its clock is the word at {address:#x}"));
        let step = self.about_word(step, address);
        explanation.steps.push(step);
        self.blame(Word { address, len, value }, Use::Number, true, explanation)?;
        Ok(true)
    }
}
