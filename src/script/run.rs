//! A script under way: a pure state machine over the console's bytes and guest time.

use std::collections::VecDeque;

use wkdb_tracer::GuestTime;

use super::{Action, Script, TextMatcher, TimedSend};

/// A script that is being run against a guest's console.
///
/// What it types depends only on the bytes printed, the times at which they were printed, and the script: not on how
/// the bytes are cut into pieces, nor on how often it is asked.
#[derive(Debug, Clone)]
pub struct ScriptRun {
    script: Script,
    /// The line of the sequence that is under way.
    step: usize,
    /// When that line's turn came.
    since: GuestTime,
    /// When the texts of the coming `expect` lines were seen. They are looked for ahead of their turn: an `expect`
    /// looks at everything after the match before it, also at what was printed during a `wait`.
    seen: VecDeque<GuestTime>,
    /// The first `expect` whose text has not been seen: its step and its matcher.
    seeking: Option<(usize, TextMatcher)>,
    /// The next line with a time of its own.
    timed: usize,
    /// What is due to be typed and has not been taken.
    input: Vec<u8>,
}

impl ScriptRun {
    /// A script before its first line, at guest time 0.
    pub fn new(script: Script) -> Self {
        let mut run = ScriptRun {
            seeking: None,
            script,
            step: 0,
            since: GuestTime::default(),
            seen: VecDeque::new(),
            timed: 0,
            input: Vec::new(),
        };
        run.seek_from(0);
        run.advance(GuestTime::default());
        run
    }

    /// The same, at another moment: what was printed before is not seen, and times of lines that are over have come.
    pub fn at(script: Script, now: GuestTime) -> Self {
        let mut run = ScriptRun { since: now, ..ScriptRun::new(script.clone()) };
        // What was due at the beginning of time is due now.
        (run.step, run.timed) = (0, 0);
        run.input.clear();
        run.seek_from(0);
        run.advance(now);
        run
    }

    /// The guest printed something at this time, which must not be before any time given earlier.
    pub fn console_output(&mut self, mut bytes: &[u8], now: GuestTime) {
        // What fell due before these bytes were printed comes first.
        self.advance(now);
        while let Some((step, matcher)) = &mut self.seeking
            && let Some(used) = matcher.feed(bytes)
        {
            bytes = &bytes[used..];
            let next = *step + 1;
            self.seen.push_back(now);
            self.seek_from(next);
        }
        self.advance(now);
    }

    /// Guest time has come this far.
    pub fn advance(&mut self, now: GuestTime) {
        // One line after another in the order of their times, so that a late call does what timely ones would have.
        loop {
            let sequence = self.sequence_due();
            let timed = self.next_timed().map(|send| (send.at, send.line));
            match (sequence, timed) {
                (Some(sequence), timed) if sequence.0 <= now && timed.is_none_or(|timed| sequence <= timed) => {
                    self.run_step(sequence.0);
                }
                (_, Some(timed)) if timed.0 <= now => {
                    let bytes = &self.script.timed[self.timed].text.bytes;
                    self.input.extend_from_slice(bytes);
                    self.timed += 1;
                }
                _ => return,
            }
        }
    }

    /// Takes what is due to be typed.
    pub fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// The next time at which something falls due without the guest printing anything. [`ScriptRun::advance`] to it.
    pub fn next_wakeup(&self) -> Option<GuestTime> {
        let sequence = self.sequence_due().map(|(at, _)| at);
        let timed = self.next_timed().map(|send| send.at);
        sequence.into_iter().chain(timed).min()
    }

    /// Whether every line has run. Input that is due may not have been taken yet.
    pub fn is_done(&self) -> bool {
        self.step == self.script.steps.len() && self.timed == self.script.timed.len()
    }

    /// The `expect` that is waited for: its line and its text as it was written.
    pub fn waiting_for(&self) -> Option<(u32, &str)> {
        let step = self.script.steps.get(self.step)?;
        match &step.action {
            Action::Expect(text) => Some((step.line, &text.written)),
            _ => None,
        }
    }

    fn next_timed(&self) -> Option<&TimedSend> {
        self.script.timed.get(self.timed)
    }

    /// When the line under way ends, as far as that is known, and which line it is.
    fn sequence_due(&self) -> Option<(GuestTime, u32)> {
        let step = self.script.steps.get(self.step)?;
        let at = match &step.action {
            Action::Send(_) => self.since,
            Action::Wait(span) => self.since.after_ns(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
            Action::Expect(_) => self.since.max(*self.seen.front()?),
        };
        Some((at, step.line))
    }

    fn run_step(&mut self, at: GuestTime) {
        match &self.script.steps[self.step].action {
            Action::Send(text) => self.input.extend_from_slice(&text.bytes),
            Action::Expect(_) => {
                self.seen.pop_front();
            }
            Action::Wait(_) => {}
        }
        self.step += 1;
        self.since = at;
    }

    /// Looks for the text of the first `expect` from this step on.
    fn seek_from(&mut self, step: usize) {
        self.seeking = (step..self.script.steps.len()).find_map(|step| match &self.script.steps[step].action {
            Action::Expect(text) => Some((step, TextMatcher::new(&text.bytes))),
            _ => None,
        });
    }
}
