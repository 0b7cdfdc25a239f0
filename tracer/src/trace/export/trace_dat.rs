//! `trace.dat`, version 6: what `trace-cmd` records and `trace-cmd report` and KernelShark read.
//!
//! After a head that describes the events there is, for each CPU, a ring buffer of pages as the kernel has them. A switch
//! is the kernel's `sched_switch`; all others are events of a system `wkdb`, one for each category.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{Export, details};
use crate::Cpu;
use crate::trace::{Category, Phase, Thread, TraceEvent};

const PAGE: usize = 4096;
/// A page's timestamp and the number of bytes in it.
const PAGE_HEADER: usize = 16;
/// Bytes of a record that a page has room for, with its header and a time extension.
const MAX_RECORD: usize = PAGE - PAGE_HEADER - 24;
/// Bits of a record's time since the one before.
const DELTA_BITS: u32 = 27;
const TIME_EXTEND: u32 = 30;
/// The number of the kernel's `sched_switch` here; those of categories follow.
const SWITCH: u16 = 300;
/// Tasks whose process id is not known have one from here on.
const UNKNOWN_PIDS: u32 = 1_000_000;

/// A `trace.dat`, kept in memory until it is finished.
pub struct TraceDat<W> {
    out: W,
    cpus: BTreeMap<Cpu, Buffer>,
    comms: BTreeMap<u32, String>,
}

/// The ring buffer of a CPU.
#[derive(Default)]
struct Buffer {
    pages: Vec<u8>,
    /// The last page: its time, and its records.
    time: u64,
    page: Vec<u8>,
    /// The time of the last record.
    last: u64,
}

impl Buffer {
    fn record(&mut self, time: u64, record: &[u8]) {
        // Padded to words, with the length in front of it.
        let len = record.len().next_multiple_of(4);
        if self.page.len() + len + 16 > PAGE - PAGE_HEADER {
            self.end_page();
        }
        if self.page.is_empty() {
            (self.time, self.last) = (time, time);
        }
        let mut delta = time.saturating_sub(self.last);
        self.last = time;
        if delta >> DELTA_BITS != 0 {
            let low = delta as u32 & ((1 << DELTA_BITS) - 1);
            self.page.extend((low << 5 | TIME_EXTEND).to_le_bytes());
            self.page.extend(((delta >> DELTA_BITS) as u32).to_le_bytes());
            delta = 0;
        }
        self.page.extend(((delta as u32) << 5).to_le_bytes());
        self.page.extend((len as u32 + 4).to_le_bytes());
        self.page.extend_from_slice(record);
        self.page.resize(self.page.len() + len - record.len(), 0);
    }

    fn end_page(&mut self) {
        if self.page.is_empty() {
            return;
        }
        let at = self.pages.len();
        self.pages.extend(self.time.to_le_bytes());
        self.pages.extend((self.page.len() as u64).to_le_bytes());
        self.pages.append(&mut self.page);
        self.pages.resize(at + PAGE, 0);
    }
}

impl<W: Write> TraceDat<W> {
    /// A trace that is written to `out` when it is finished.
    pub fn new(out: W) -> Self {
        TraceDat { out, cpus: BTreeMap::new(), comms: BTreeMap::new() }
    }

    fn pid(&mut self, thread: &Thread) -> u32 {
        if thread.idle {
            return 0;
        }
        let pid = thread.pid.unwrap_or(UNKNOWN_PIDS.saturating_add(thread.runner.0));
        if self.comms.get(&pid).is_none_or(|comm| *comm != thread.comm) {
            self.comms.insert(pid, thread.comm.clone());
        }
        pid
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        head.extend(b"\x17\x08\x44tracing6\0");
        head.push(0); // little-endian
        head.push(8); // bytes of a long
        head.extend((PAGE as u32).to_le_bytes());
        let sized = |head: &mut Vec<u8>, text: &str| {
            head.extend((text.len() as u64).to_le_bytes());
            head.extend(text.as_bytes());
        };
        head.extend(b"header_page\0");
        sized(&mut head, HEADER_PAGE);
        head.extend(b"header_event\0");
        sized(&mut head, HEADER_EVENT);
        head.extend(0u32.to_le_bytes()); // formats of ftrace's own
        head.extend(2u32.to_le_bytes()); // systems
        head.extend(b"sched\0");
        head.extend(1u32.to_le_bytes());
        sized(&mut head, &format!("name: sched_switch\nID: {SWITCH}\n{COMMON}{SWITCH_FORMAT}"));
        head.extend(b"wkdb\0");
        head.extend((Category::ALL.len() as u32).to_le_bytes());
        for category in Category::ALL {
            sized(&mut head, &format!("name: {}\nID: {}\n{COMMON}{FORMAT}", category.name(), id(category)));
        }
        head.extend(0u32.to_le_bytes()); // kallsyms
        head.extend(0u32.to_le_bytes()); // formats of printk
        let comms: String = self.comms.iter().map(|(pid, comm)| format!("{pid} {}\n", one_line(comm))).collect();
        sized(&mut head, &comms);
        head
    }
}

impl<W: Write> Export for TraceDat<W> {
    fn event(&mut self, event: &TraceEvent) -> io::Result<()> {
        let pid = self.pid(&event.thread);
        let switch = event.other.as_ref().filter(|_| event.category == Category::Sched && event.name == "switch");
        let number = if switch.is_some() { SWITCH } else { id(event.category) };
        let mut record = Vec::new();
        record.extend(number.to_le_bytes());
        record.extend([0; 2]); // flags, preempt count
        record.extend(pid.to_le_bytes());
        match switch {
            Some(next) => {
                let next_pid = self.pid(next);
                record.extend(comm(&event.thread));
                record.extend(pid.to_le_bytes());
                record.extend(comm(next));
                record.extend(next_pid.to_le_bytes());
            }
            None => {
                let details = details(event);
                let phase = event.phase as u32;
                let room = MAX_RECORD - 24;
                let name = cut(&event.name, room / 4);
                let details = cut(&details, room - name.len() - 2);
                let at = record.len() + 12;
                let location = |at: usize, text: &str| (at as u32 | (text.len() as u32 + 1) << 16).to_le_bytes();
                record.extend(phase.to_le_bytes());
                record.extend(location(at, name));
                record.extend(location(at + name.len() + 1, details));
                record.extend(name.bytes().chain([0]).chain(details.bytes()).chain([0]));
            }
        }
        self.cpus.entry(event.cpu).or_default().record(event.time.0, &record);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut head = self.head();
        let cpus = self.cpus.keys().next_back().map_or(1, |cpu| cpu.0 as usize + 1);
        head.extend((cpus as u32).to_le_bytes());
        head.extend(b"options  \0");
        head.extend(0u16.to_le_bytes());
        head.extend(b"flyrecord\0");
        let mut at = (head.len() + 16 * cpus).next_multiple_of(PAGE);
        let data = at;
        for number in 0..cpus {
            let len = self.cpus.get_mut(&Cpu(number as u32)).map_or(0, |buffer| {
                buffer.end_page();
                buffer.pages.len()
            });
            head.extend((at as u64).to_le_bytes());
            head.extend((len as u64).to_le_bytes());
            at += len;
        }
        head.resize(data, 0);
        self.out.write_all(&head)?;
        for buffer in self.cpus.values() {
            self.out.write_all(&buffer.pages)?;
        }
        self.out.flush()
    }
}

fn id(category: Category) -> u16 {
    SWITCH + 1 + Category::ALL.iter().position(|&c| c == category).unwrap_or(0) as u16
}

/// A `comm` as the kernel has it: 16 bytes, the last one NUL.
fn comm(thread: &Thread) -> [u8; 16] {
    let mut comm = [0; 16];
    let name = cut(&thread.comm, 15);
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most `len` bytes of a text, in whole characters.
fn cut(text: &str, len: usize) -> &str {
    let mut end = text.len().min(len);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

const _: () = assert!(Phase::Begin as u32 == 0 && Phase::End as u32 == 1 && Phase::Instant as u32 == 2);

const HEADER_PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
";

const HEADER_EVENT: &str = "# compressed entry header
\ttype_len    :    5 bits
\ttime_delta  :   27 bits
\tarray       :   32 bits

\tpadding     : type == 29
\ttime_extend : type == 30
\ttime_stamp : type == 31
\tdata max type_len  == 28
";

const COMMON: &str = "format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

";

const SWITCH_FORMAT: &str = "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:1;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:char next_comm[16];\toffset:28;\tsize:16;\tsigned:1;
\tfield:pid_t next_pid;\toffset:44;\tsize:4;\tsigned:1;

print fmt: \"prev_comm=%s prev_pid=%d ==> next_comm=%s next_pid=%d\", REC->prev_comm, REC->prev_pid, REC->next_comm, REC->next_pid
";

const FORMAT: &str = "\tfield:unsigned int phase;\toffset:8;\tsize:4;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:12;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] details;\toffset:16;\tsize:4;\tsigned:1;

print fmt: \"%s %s %s\", __print_symbolic(REC->phase, { 0, \"begin\" }, { 1, \"end\" }, { 2, \"at\" }), __get_str(name), __get_str(details)
";
