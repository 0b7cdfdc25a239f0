//! The guest's console: what it printed, and what it will read.

use std::collections::VecDeque;

use wkdb_tracer::GuestTime;
use xxhash_rust::xxh3::Xxh3;

use crate::script::ScriptRun;

/// How much of the output is kept to show where a run ended, in bytes.
const TAIL: usize = 4096;

/// Both directions of the console.
pub(super) struct Console {
    hash: Xxh3,
    tail: VecDeque<u8>,
    input: VecDeque<u8>,
    script: Option<ScriptRun>,
    /// Texts whose appearance ends the run, each with the end of what was printed, to match across writes.
    wanted: Vec<(String, Vec<u8>)>,
}

impl Console {
    pub(super) fn new(script: Option<ScriptRun>, wanted: impl Iterator<Item = String>) -> Self {
        Console {
            hash: Xxh3::new(),
            tail: VecDeque::new(),
            input: VecDeque::new(),
            script,
            wanted: wanted.map(|text| (text, Vec::new())).collect(),
        }
    }

    /// The guest printed `bytes`. Gives the wanted text that they complete, if any.
    pub(super) fn put(&mut self, bytes: &[u8], now: GuestTime) -> Option<String> {
        self.hash.update(bytes);
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        if let Some(script) = &mut self.script {
            script.console_output(bytes, now);
        }
        let mut found = None;
        for (text, before) in &mut self.wanted {
            before.extend_from_slice(bytes);
            if found.is_none() && memchr::memmem::find(before, text.as_bytes()).is_some() {
                found = Some(text.clone());
            }
            let keep = before.len().min(text.len().saturating_sub(1));
            before.drain(..before.len() - keep);
        }
        found
    }

    /// A person typed `bytes`.
    pub(super) fn type_in(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
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
    pub(super) fn script_waits_for(&self) -> Option<(usize, String)> {
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
