//! The kernel's log, out of its memory: also what never came to the console.

use serde::Serialize;

use super::text::{seconds, tell_problems};
use super::{Kernel, Now, Object};
use crate::commands::{Output, Style};

/// Records of the log that are told: more are not in any ring buffer for Wasm.
const MAX_RECORDS: u64 = 1 << 18;

/// The longest text of a record; the kernel's own limit is less.
const MAX_TEXT: u64 = 1 << 14;

/// A ring of 64 MiB has 26 bits: no kernel for Wasm has a larger one.
const MAX_RING_BITS: u64 = 27;

/// What one byte of the log becomes at most where it is no text: `\xff`, `\u{85}`.
const LONGEST_ESCAPE: u64 = 6;

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Its number since boot; `None` where the kernel does not count.
    pub seq: Option<u64>,
    /// When it was written, in nanoseconds of the kernel's clock.
    pub time_ns: Option<u64>,
    /// How grave it is: 0 an emergency, 7 a detail for developers.
    pub level: Option<u8>,
    /// What it says; of several lines, with `\n` between.
    pub text: String,
}

/// The kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DmesgView {
    /// When.
    pub now: Now,
    /// The records that are still there, the oldest first.
    pub lines: Vec<LogLine>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

/// A ring of bytes, a power of two of them; positions in it only grow.
struct Ring {
    data: u64,
    size: u64,
}

impl Kernel<'_> {
    /// All records of the log.
    pub fn dmesg(&self) -> DmesgView {
        let lines = match (self.variable("prb"), self.variable("log_buf")) {
            (Some(prb), _) => prb.target().map(|prb| self.records(&prb)).unwrap_or_default(),
            (None, Some(text)) => self.plain_log(&text),
            (None, None) => Vec::new(),
        };
        DmesgView { now: self.now(), lines, problems: self.take_problems() }
    }

    /// The records of a `struct printk_ringbuffer`: descriptors by number, each with an info and a block of text.
    fn records(&self, prb: &Object<'_, '_>) -> Vec<LogLine> {
        let (Some(descs), Some(infos)) = (prb.follow("desc_ring.descs"), prb.follow("desc_ring.infos")) else {
            return Vec::new();
        };
        let ring = || {
            let bits = prb.u("text_data_ring.size_bits").filter(|bits| (4..MAX_RING_BITS).contains(bits))?;
            Some(Ring { data: prb.u("text_data_ring.data")?, size: 1 << bits })
        };
        let bits = prb.u("desc_ring.count_bits").filter(|bits| *bits < 24);
        let (Some(ring), Some(bits)) = (ring(), bits) else {
            self.problem("the log: the sizes of its rings make no sense");
            return Vec::new();
        };
        // The two highest bits of a descriptor's state say how far it is; the others are the number of the descriptor.
        let shift = self.word() * 8 - 2;
        let id_mask = (1_u64 << shift) - 1;
        let ids = (prb.u("desc_ring.tail_id"), prb.u("desc_ring.head_id"));
        let (Some(tail), Some(head)) = ids else { return Vec::new() };
        let count = (head.wrapping_sub(tail) & id_mask).saturating_add(1);
        if count > 1 << bits {
            self.problem(format!("the log: {count} records from {tail:#x} to {head:#x} do not fit in its ring"));
        }
        let mut lines: Vec<LogLine> = Vec::new();
        // Each byte of the ring belongs to one record.
        let mut room = ring.size;
        for number in 0..count.min(1 << bits).min(MAX_RECORDS) {
            if !self.step() {
                break;
            }
            let id = tail.wrapping_add(number) & id_mask;
            let at = id & ((1 << bits) - 1);
            let (Some(desc), Some(info)) = (self.sibling(&descs, at), self.sibling(&infos, at)) else { break };
            let Some(state) = desc.u("state_var") else { break };
            // 0: being written for the first time; 1: whole, but may grow; 2: done; 3: given up.
            if state & id_mask != id || !matches!(state >> shift, 1 | 2) {
                continue;
            }
            let Some(line) = self.record(&ring, &desc, &info, id) else { continue };
            let Some(left) = room.checked_sub(line.text.len() as u64 / LONGEST_ESCAPE) else {
                self.problem("the log: its records have more text than fits in its ring");
                break;
            };
            room = left;
            lines.push(line);
        }
        lines
    }

    /// An element of an array of which only a pointer to the first one is known.
    fn sibling<'k, 'i>(&'k self, first: &Object<'k, 'i>, number: u64) -> Option<Object<'k, 'i>> {
        Some(first.moved(first.size()?.checked_mul(number)?))
    }

    fn record(&self, ring: &Ring, desc: &Object<'_, '_>, info: &Object<'_, '_>, id: u64) -> Option<LogLine> {
        let begin = desc.u("text_blk_lpos.begin")?;
        let next = desc.u("text_blk_lpos.next")?;
        let len = info.u("text_len")?.min(MAX_TEXT);
        let text = match begin & 1 != 0 || next & 1 != 0 || len == 0 {
            // A record without text has odd positions.
            true => String::new(),
            false => {
                let (at, last) = (begin % ring.size, next.wrapping_sub(1) & self.long_mask());
                // A block that does not fit before the end of the ring lies at its beginning.
                let at = if begin / ring.size == last / ring.size { at } else { 0 };
                let block = ring.data.wrapping_add(at);
                let owner = self.memory.unsigned(block, self.word())?;
                if owner != id {
                    self.problem(format!("the log: the text of record {id:#x} is that of {owner:#x}"));
                    return None;
                }
                let room = ring.size.saturating_sub(at + self.word());
                let bytes = self.memory.bytes(block.wrapping_add(self.word()), len.min(room) as usize)?;
                lines_of(&bytes)
            }
        };
        let level = info.u("level").map(|level| level as u8);
        Some(LogLine { seq: info.u("seq"), time_ns: info.u("ts_nsec"), level, text })
    }

    /// minik's log: a ring of text, each line with its time before it, and how many bytes were ever written.
    fn plain_log(&self, ring: &Object<'_, '_>) -> Vec<LogLine> {
        let Some(size) = ring.size().filter(|size| (1..=MAX_RECORDS).contains(size)) else { return Vec::new() };
        let end = self.variable("log_end").and_then(|end| end.unsigned()).unwrap_or(0);
        let Some(bytes) = self.memory.bytes(ring.address(), size as usize) else { return Vec::new() };
        let start = (end % size) as usize;
        let text = match end > size {
            // The oldest line may have lost its beginning.
            true => [&bytes[start..], &bytes[..start]].concat(),
            false => bytes[..(end as usize).min(bytes.len())].to_vec(),
        };
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let text = super::text::printable(line);
                let timed = text.strip_prefix('[').and_then(|rest| rest.split_once("] "));
                let time = timed.and_then(|(time, text)| Some((nanoseconds(time.trim())?, text.to_owned())));
                match time {
                    Some((time, text)) => LogLine { seq: None, time_ns: Some(time), level: None, text },
                    None => LogLine { seq: None, time_ns: None, level: None, text },
                }
            })
            .collect()
    }
}

/// Text of a record: of its control characters only ends of lines are kept.
fn lines_of(bytes: &[u8]) -> String {
    bytes.split(|&byte| byte == b'\n').map(super::text::printable).collect::<Vec<_>>().join("\n")
}

/// `12.345678` in nanoseconds.
fn nanoseconds(time: &str) -> Option<u64> {
    let (seconds, micros) = time.split_once('.')?;
    if micros.len() != 6 {
        return None;
    }
    let micros: u64 = micros.parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?.checked_mul(1000)
}

impl DmesgView {
    /// As the kernel prints it.
    pub fn text(&self) -> Output {
        let mut out = Output::new();
        for line in &self.lines {
            let time = line.time_ns.map(|time| format!("[{:>12}] ", seconds(time))).unwrap_or_default();
            for text in line.text.split('\n') {
                match line.level {
                    Some(0..=3) => out.push(&time).mark(Style::Problem, text).line(""),
                    _ => out.push(&time).line(text),
                };
            }
        }
        tell_problems(&mut out, &self.problems);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn times_of_log_lines() {
        assert_eq!(nanoseconds("12.345678"), Some(12_345_678_000));
        for bad in ["", "12", "1.5", "a.000000", "99999999999999.000000"] {
            assert_eq!(nanoseconds(bad), None, "{bad}");
        }
    }
}
