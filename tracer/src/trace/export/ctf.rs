//! The Common Trace Format, version 1.8: a directory with a description of the events (`metadata`) and one stream of
//! packets, for `babeltrace2` and Trace Compass.
//!
//! Everything is little-endian and aligned to bytes. A switch has the event that LTTng has for it, `sched_switch`; all
//! others are `CATEGORY`, `CATEGORY_begin` and `CATEGORY_end` with a name and a text.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{Export, details};
use crate::trace::{Category, Phase, TraceEvent};

const MAGIC: u32 = 0xc1fc_1fc1;
/// A packet is written when it has so many bytes.
const PACKET: usize = 1 << 16;
/// Bytes before the first event of a packet: magic, stream, two times, two sizes.
const HEADER: usize = 4 + 4 + 8 * 4;
/// The event of a switch; others are numbered by category and phase.
const SWITCH: u16 = 0;

/// A trace in CTF.
pub struct Ctf {
    stream: BufWriter<File>,
    events: Vec<u8>,
    times: Option<(u64, u64)>,
}

impl Ctf {
    /// A trace in this directory, which is made.
    ///
    /// # Errors
    ///
    /// Where the directory or its files cannot be made; a directory that holds something else than a trace is left as it is.
    pub fn create(directory: &Path) -> io::Result<Ctf> {
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let ours = |name: &std::ffi::OsStr| name == "metadata" || name == "stream";
                for entry in std::fs::read_dir(directory)? {
                    if !ours(&entry?.file_name()) {
                        return Err(io::Error::new(
                            io::ErrorKind::AlreadyExists,
                            "the directory holds other files: name a new one",
                        ));
                    }
                }
            }
            made => made?,
        }
        std::fs::write(directory.join("metadata"), metadata())?;
        let stream = BufWriter::new(File::create(directory.join("stream"))?);
        Ok(Ctf { stream, events: Vec::new(), times: None })
    }

    fn packet(&mut self) -> io::Result<()> {
        let Some((begin, end)) = self.times.take() else { return Ok(()) };
        let bits = (HEADER + self.events.len()) as u64 * 8;
        self.stream.write_all(&MAGIC.to_le_bytes())?;
        self.stream.write_all(&0u32.to_le_bytes())?;
        for word in [begin, end, bits, bits] {
            self.stream.write_all(&word.to_le_bytes())?;
        }
        self.stream.write_all(&self.events)?;
        self.events.clear();
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.events.extend(text.bytes().filter(|&byte| byte != 0));
        self.events.push(0);
    }
}

impl Export for Ctf {
    fn event(&mut self, event: &TraceEvent) -> io::Result<()> {
        let time = event.time.0;
        let (begin, _) = self.times.unwrap_or((time, time));
        self.times = Some((begin, time));
        let switch = event.other.as_ref().filter(|_| is_switch(event));
        let id = if switch.is_some() { SWITCH } else { id(event.category, event.phase) };
        self.events.extend(id.to_le_bytes());
        self.events.extend(time.to_le_bytes());
        self.events.extend(event.cpu.0.to_le_bytes());
        self.events.extend(pid(event.thread.pid).to_le_bytes());
        self.events.extend(event.thread.runner.0.to_le_bytes());
        self.events.extend(event.tick.0.to_le_bytes());
        self.text(&event.thread.comm);
        match switch {
            Some(next) => {
                self.text(&event.thread.comm);
                self.events.extend(pid(event.thread.pid).to_le_bytes());
                self.text(&next.comm);
                self.events.extend(pid(next.pid).to_le_bytes());
            }
            None => {
                self.text(&event.name);
                self.text(&details(event));
            }
        }
        if self.events.len() >= PACKET { self.packet() } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.packet()?;
        self.stream.flush()
    }
}

fn is_switch(event: &TraceEvent) -> bool {
    event.category == Category::Sched && event.name == "switch"
}

fn pid(pid: Option<u32>) -> i32 {
    pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(-1)
}

fn id(category: Category, phase: Phase) -> u16 {
    let category = Category::ALL.iter().position(|&c| c == category).unwrap_or(0) as u16;
    1 + 3 * category + phase as u16
}

fn metadata() -> String {
    let mut text = HEAD.to_owned();
    let mut event = |id: u16, name: &str, fields: &str| {
        text += &format!(
            "event {{\n\tname = \"{name}\";\n\tid = {id};\n\tstream_id = 0;\n\tfields := struct {{\n{fields}\t}};\n}};\n\n"
        );
    };
    let switch = "\t\tstring _prev_comm;\n\t\tint32_t _prev_tid;\n\t\tstring _next_comm;\n\t\tint32_t _next_tid;\n";
    event(SWITCH, "sched_switch", switch);
    for category in Category::ALL {
        for (phase, suffix) in [(Phase::Begin, "_begin"), (Phase::End, "_end"), (Phase::Instant, "")] {
            let name = format!("{}{suffix}", category.name());
            event(id(category, phase), &name, "\t\tstring _name;\n\t\tstring _details;\n");
        }
    }
    text
}

const HEAD: &str = "/* CTF 1.8 */

typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 32; align = 8; signed = true; } := int32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;

trace {
\tmajor = 1;
\tminor = 8;
\tbyte_order = le;
\tpacket.header := struct {
\t\tuint32_t magic;
\t\tuint32_t stream_id;
\t};
};

env {
\tdomain = \"kernel\";
\ttracer_name = \"wkdb\";
};

clock {
\tname = guest;
\tdescription = \"The guest's monotonic clock\";
\tfreq = 1000000000;
};

typealias integer {
\tsize = 64; align = 8; signed = false;
\tmap = clock.guest.value;
} := guest_time_t;

stream {
\tid = 0;
\tpacket.context := struct {
\t\tguest_time_t timestamp_begin;
\t\tguest_time_t timestamp_end;
\t\tuint64_t content_size;
\t\tuint64_t packet_size;
\t};
\tevent.header := struct {
\t\tuint16_t id;
\t\tguest_time_t timestamp;
\t};
\tevent.context := struct {
\t\tuint32_t _cpu_id;
\t\tint32_t _pid;
\t\tuint32_t _runner;
\t\tuint64_t _tick;
\t\tstring _comm;
\t};
};

";
