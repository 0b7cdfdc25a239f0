//! The guest's console: what it printed, and what it will read.

use std::collections::VecDeque;

use wkdb_tracer::GuestTime;
use xxhash_rust::xxh3::Xxh3;

use crate::script::{ScriptRun, TextMatcher};

/// How much of the output is kept to show where a run ended, in bytes.
const TAIL: usize = 4096;

/// Both directions of the console.
pub(super) struct Console {
    hash: Xxh3,
    tail: VecDeque<u8>,
    input: VecDeque<u8>,
    script: Option<ScriptRun>,
    /// Texts whose appearance ends the run, in the order of the conditions.
    wanted: Vec<TextMatcher>,
}

impl Console {
    pub(super) fn new(script: Option<ScriptRun>, wanted: impl Iterator<Item = Vec<u8>>) -> Self {
        Console {
            hash: Xxh3::new(),
            tail: VecDeque::new(),
            input: VecDeque::new(),
            script,
            wanted: wanted.map(|text| TextMatcher::new(&text)).collect(),
        }
    }

    /// The guest printed `bytes`. Gives which of the wanted texts they complete, if any.
    pub(super) fn put(&mut self, bytes: &[u8], now: GuestTime) -> Option<usize> {
        self.hash.update(bytes);
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        if let Some(script) = &mut self.script {
            script.console_output(bytes, now);
        }
        let mut found = None;
        for (number, text) in self.wanted.iter_mut().enumerate() {
            if text.feed(bytes).is_some() {
                found = found.or(Some(number));
            }
        }
        found
    }

    /// A person typed `bytes`.
    pub(super) fn type_in(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// Another script is at the console from now on.
    pub(super) fn set_script(&mut self, script: ScriptRun) {
        self.script = Some(script);
    }

    /// What the guest reads, `count` bytes at most.
    pub(super) fn get(&mut self, count: usize, now: GuestTime) -> Vec<u8> {
        self.advance(now);
        let count = count.min(self.input.len());
        self.input.drain(..count).collect()
    }

    /// Lets the script act on the time.
    pub(super) fn advance(&mut self, now: GuestTime) {
        if let Some(script) = &mut self.script {
            script.advance(now);
            self.input.extend(script.take_input());
        }
    }

    /// When the script acts next without a word from the guest.
    pub(super) fn next_wakeup(&self) -> Option<GuestTime> {
        self.script.as_ref().and_then(ScriptRun::next_wakeup)
    }

    /// Whether the script has come to its end and the guest has read all of it.
    pub(super) fn script_done(&self) -> bool {
        self.script.as_ref().is_some_and(ScriptRun::is_done) && self.input.is_empty()
    }

    /// The script's line that waits for a text, and the text.
    pub(super) fn script_waits_for(&self) -> Option<(u32, String)> {
        let (line, text) = self.script.as_ref()?.waiting_for()?;
        Some((line, text.to_owned()))
    }

    /// Hash of all that was printed.
    pub(super) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// The last `lines` lines printed.
    pub(super) fn tail(&self, lines: usize) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        let skip = text.lines().count().saturating_sub(lines);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }
}
