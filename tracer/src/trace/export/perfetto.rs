//! Perfetto's own format: protobuf messages `perfetto.protos.Trace`, of track descriptors and track events.
//!
//! Every task is a thread of one process, with what it did as slices and moments; every CPU is a track with the tasks
//! that held it. Field numbers are those of the published schema (`protos/perfetto/trace/perfetto_trace.proto`).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::Export;
use crate::trace::{Category, Field, Phase, Thread, TraceEvent};
use crate::{Cpu, RunnerId};

/// The process that all tasks are threads of.
const PROCESS: u64 = 1;
/// Tracks have names of 64 bits: of the process, of CPUs and of tasks.
const PROCESS_TRACK: u64 = 1;
const CPU_TRACKS: u64 = 1 << 32;
const TASK_TRACKS: u64 = 2 << 32;
/// All packets are of one sequence.
const SEQUENCE: u64 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`, which the first packet of a sequence has.
const STATE_CLEARED: u64 = 1;
/// `BUILTIN_CLOCK_BOOTTIME`.
const CLOCK: u64 = 6;

/// A trace for Perfetto (`ui.perfetto.dev`, `trace_processor`).
pub struct Perfetto<W> {
    out: W,
    threads: BTreeMap<RunnerId, Arc<Thread>>,
    /// Who holds each CPU; none: its idle task.
    cpus: BTreeMap<Cpu, Option<RunnerId>>,
    last: u64,
    started: bool,
}

impl<W: Write> Perfetto<W> {
    /// A trace that is written to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Perfetto { out, threads: BTreeMap::new(), cpus: BTreeMap::new(), last: 0, started: false }
    }

    fn packet(&mut self, mut packet: Message) -> io::Result<()> {
        packet.varint(10, SEQUENCE);
        if !std::mem::replace(&mut self.started, true) {
            packet.varint(13, STATE_CLEARED);
        }
        let mut trace = Message::default();
        trace.message(1, &packet);
        self.out.write_all(&trace.0)
    }

    fn describe(&mut self, descriptor: &Message) -> io::Result<()> {
        let mut packet = Message::default();
        packet.message(60, descriptor);
        self.packet(packet)
    }

    /// Tells of tracks that an event needs and that are not told of, or have another name now.
    fn tracks(&mut self, thread: &Arc<Thread>) -> io::Result<()> {
        if !self.started {
            let mut process = Message::default();
            process.varint(1, PROCESS);
            process.text(6, "guest");
            let mut descriptor = Message::default();
            descriptor.varint(1, PROCESS_TRACK);
            descriptor.message(3, &process);
            self.describe(&descriptor)?;
        }
        if self.threads.get(&thread.runner).is_none_or(|known| known != thread) {
            self.threads.insert(thread.runner, thread.clone());
            let mut message = Message::default();
            message.varint(1, PROCESS);
            message.varint(2, tid(thread.runner));
            message.text(5, &thread.to_string());
            let mut descriptor = Message::default();
            descriptor.varint(1, task_track(thread.runner));
            descriptor.message(4, &message);
            self.describe(&descriptor)?;
        }
        Ok(())
    }

    fn track_event(&mut self, time: u64, kind: u64, track: u64, fill: impl FnOnce(&mut Message)) -> io::Result<()> {
        let mut event = Message::default();
        event.varint(9, kind);
        event.varint(11, track);
        fill(&mut event);
        let mut packet = Message::default();
        packet.varint(8, time);
        packet.varint(58, CLOCK);
        packet.message(11, &event);
        self.packet(packet)
    }

    /// Another task holds a CPU.
    fn hold(&mut self, time: u64, cpu: Cpu, thread: Option<&Arc<Thread>>) -> io::Result<()> {
        let track = CPU_TRACKS + u64::from(cpu.0);
        let before = self.cpus.insert(cpu, thread.map(|thread| thread.runner));
        if before.is_none() {
            let mut descriptor = Message::default();
            descriptor.varint(1, track);
            descriptor.varint(5, PROCESS_TRACK);
            descriptor.text(2, &cpu.to_string());
            self.describe(&descriptor)?;
        }
        if before.flatten().is_some() {
            self.track_event(time, END, track, |_| ())?;
        }
        match thread {
            Some(thread) => self.track_event(time, BEGIN, track, |event| {
                event.text(22, Category::Sched.name());
                event.text(23, &thread.to_string());
            }),
            None => Ok(()),
        }
    }
}

/// `TrackEvent.Type`.
const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;

fn tid(runner: RunnerId) -> u64 {
    u64::from(runner.0) + 1
}

fn task_track(runner: RunnerId) -> u64 {
    TASK_TRACKS + u64::from(runner.0)
}

impl<W: Write> Export for Perfetto<W> {
    fn event(&mut self, event: &TraceEvent) -> io::Result<()> {
        self.last = event.time.0;
        self.tracks(&event.thread)?;
        if let Some(other) = &event.other {
            self.tracks(other)?;
        }
        let busy = |thread: &Arc<Thread>| (!thread.idle).then(|| thread.clone());
        if event.category == Category::Sched && event.name == "switch" {
            if !self.cpus.contains_key(&event.cpu) {
                self.hold(event.time.0, event.cpu, busy(&event.thread).as_ref())?;
            }
            self.hold(event.time.0, event.cpu, event.other.as_ref().and_then(busy).as_ref())?;
        }
        let kind = match event.phase {
            Phase::Begin => BEGIN,
            Phase::End => END,
            Phase::Instant => INSTANT,
        };
        self.track_event(event.time.0, kind, task_track(event.thread.runner), |message| {
            if event.phase != Phase::End {
                message.text(22, event.category.name());
                message.text(23, &event.name);
            }
            let mut annotate = |name: &str, value: &Field| {
                let mut annotation = Message::default();
                annotation.text(10, name);
                match value {
                    Field::Int(value) => annotation.varint(4, *value as u64),
                    Field::Hex(value) => annotation.varint(7, *value),
                    Field::Text(text) => annotation.text(6, text),
                }
                message.message(4, &annotation);
            };
            annotate("tick", &Field::Int(i64::try_from(event.tick.0).unwrap_or(i64::MAX)));
            for (name, value) in &event.fields {
                annotate(name, value);
            }
            if let Some(other) = &event.other {
                annotate("task", &Field::Text(other.to_string()));
            }
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        for cpu in self.cpus.keys().copied().collect::<Vec<_>>() {
            self.hold(self.last, cpu, None)?;
        }
        self.out.flush()
    }
}

/// A protobuf message as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.raw(field << 3);
        self.raw(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.raw(field << 3 | 2);
        self.raw(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.0);
    }
}
