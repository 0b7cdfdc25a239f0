//! What the session tells of the machine: plain data, that a recording of a screen can be made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wkdb_tracer::{CodeAddress, Cpu, GuestTime, RunnerId, Tick};

use crate::commands::{FieldView, FunctionText, Output, PointView, Style, VariableView};

/// What the machine does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doing {
    /// It has not been asked yet.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// A way back through history is being looked for.
    Travelling,
    /// It is stopped.
    Stopped,
    /// The run is over: how it ended, in a line.
    Ended(String),
    /// Its process is gone, with these last words.
    Gone(String),
}

/// What code the guest runs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Code {
    /// There is one code only.
    #[default]
    Only,
    /// The fast one, in which nothing stops it but the guest's own mistakes.
    Fast,
    /// The one for debugging.
    Debug,
    /// It stands where somebody stopped it, until it has run again in the code for debugging: so much of it has, in
    /// percent.
    Changing(u8),
}

/// The machine at one moment; of one that runs, the parts are moments apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it does.
    pub doing: Doing,
    /// What code it runs in.
    #[serde(default)]
    pub code: Code,
    /// The machine's position.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
    /// Samples that were not taken, or not sent, because the screen had not dealt with the ones before.
    pub dropped: u64,
    /// Nanoseconds of guest time that a tick takes; 0 where the CPUs' ticks are not counted.
    #[serde(default)]
    pub ns_per_tick: u32,
    /// By number.
    pub cpus: Vec<CpuRow>,
    /// In the order in which they were made.
    pub tasks: Vec<TaskRow>,
    /// Of the task that is looked at.
    pub stack: Stack,
    /// Of the frame that is looked at; as long as the machine runs, what it was.
    pub source: Option<Source>,
    /// The function of the frame that is looked at.
    pub function: Option<Arc<FunctionText>>,
    /// The variables of the frame that is looked at.
    pub variables: Arc<Vec<VariableView>>,
    /// Why there are none.
    pub variables_problem: Option<String>,
    /// Breakpoints and watches.
    pub points: Arc<Vec<PointView>>,
    /// The window into memory.
    pub memory: Memory,
    /// The kernel's timers and workqueues; none where they cannot be known.
    pub timers: Option<Arc<Text>>,
    /// The past, for machines that have one.
    pub history: Option<HistoryView>,
}

/// A CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuRow {
    /// Its number.
    pub cpu: Cpu,
    /// The task that holds it.
    pub task: Option<TaskName>,
    /// Whether that task can run; otherwise it waits, as idle tasks do.
    pub busy: bool,
    /// Tasks that could run there, the one that holds it included.
    pub runnable: u32,
    /// The function that it is in, as far as that is known.
    pub function: Option<String>,
    /// Ticks that it has run since the run began.
    #[serde(default)]
    pub ticks: u64,
    /// What the kernel knows of it.
    pub kernel: Option<CpuKernel>,
}

/// What a kernel knows of one of its CPUs, each in the kernel's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuKernel {
    /// Interrupts that wait.
    pub irq: Option<String>,
    /// Inter-processor interrupts that wait.
    pub ipi: Option<String>,
    /// The next timer event.
    pub timer: Option<String>,
    /// How far its timers are behind the clock.
    pub lag: Option<String>,
    /// Tasks on its run queue.
    pub run_queue: Option<u32>,
}

/// A task's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskName {
    /// Its runner.
    pub runner: RunnerId,
    /// Its name (`comm`).
    pub comm: String,
    /// Its process id, where the kernel was asked.
    #[serde(default)]
    pub pid: Option<u32>,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskState {
    /// It has its CPU, and can run.
    Runs,
    /// It could run.
    Ready,
    /// It waits until this moment, or for ever.
    Waits(GuestTime),
    /// It was switched away from.
    Out,
    /// It has not run yet.
    New,
    /// It was stopped for good.
    Dead,
}

impl TaskState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            TaskState::Runs => "runs",
            TaskState::Ready => "ready",
            TaskState::Waits(_) => "waits",
            TaskState::Out => "out",
            TaskState::New => "new",
            TaskState::Dead => "dead",
        }
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its runner; commands call it by this number plus one.
    pub runner: RunnerId,
    /// The address of its `task_struct`.
    pub address: u64,
    /// Its name.
    pub comm: String,
    /// Its process id, where the kernel was asked.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Its CPU.
    pub cpu: Cpu,
    /// What it does.
    pub state: TaskState,
    /// The function that it is in, as far as that is known.
    pub function: Option<String>,
}

/// A call stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Whose.
    pub task: Option<TaskName>,
    /// Innermost first.
    pub frames: Vec<FrameRow>,
    /// The frame that is looked at.
    pub selected: usize,
    /// Why there are no frames.
    pub problem: Option<String>,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRow {
    /// The instruction.
    pub address: CodeAddress,
    /// The function of the source.
    pub function: String,
    /// File and line.
    pub place: Option<String>,
    /// The text of that line, where the file is found.
    pub text: Option<String>,
    /// Whether it is inlined into the next one.
    pub inlined: bool,
}

/// A source file, and a line in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub file: String,
    /// The line of the frame, counted from 1.
    pub line: Option<u32>,
    /// Its lines; none where it was not found.
    pub lines: Option<Arc<Vec<String>>>,
}

/// A window into memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What was asked for.
    pub expression: String,
    /// Where that is.
    pub origin: u64,
    /// How many bytes it has; 0 if that is not known.
    pub size: u64,
    /// Its value, in lines.
    pub value: String,
    /// The first byte of the window.
    pub address: u64,
    /// The window's bytes; fewer than were asked for where memory ends.
    pub bytes: Vec<u8>,
    /// What lies at the start of each row of 16 bytes, where it has a name.
    pub names: Vec<Option<String>>,
    /// What the window's bytes are, as far as types say it, and words that point somewhere; by their addresses.
    #[serde(default)]
    pub fields: Vec<FieldView>,
    /// Why there is nothing.
    pub problem: Option<String>,
}

/// A run's past.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The earliest position that one can go to.
    pub start: Tick,
    /// The furthest that the run has come.
    pub present: Tick,
    /// The guest's clock there.
    pub present_time: GuestTime,
    /// Of a recording, its last position and the guest's clock there: the run can be let go on to it.
    pub end: Option<(Tick, GuestTime)>,
    /// Whether an earlier moment is shown.
    pub in_the_past: bool,
    /// Copies of the machine, by their position.
    pub checkpoints: Vec<Tick>,
    /// Bytes that they cost.
    pub cost: u64,
}

/// A moment of the run that is worth finding again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Where; none where it is not known.
    pub tick: Option<Tick>,
    /// What.
    pub kind: EventKind,
    /// It in a line.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    /// Tasks and CPUs come and go.
    Life,
    /// Watched memory was written or read.
    Watch,
    /// A trap or a panic.
    Crash,
    /// Something that is not as it should be.
    Problem,
}

impl EventKind {
    /// Its sign in the timeline.
    pub fn sign(self) -> char {
        match self {
            EventKind::Life => '·',
            EventKind::Watch => 'w',
            EventKind::Crash => '!',
            EventKind::Problem => '?',
        }
    }
}

/// Text with marks, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(pub Vec<TextLine>);

/// A line, as pieces.
pub type TextLine = Vec<(Mark, String)>;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Nothing special.
    #[default]
    Plain,
    /// The name of a function.
    Function,
    /// A source file and line.
    Place,
    /// An address.
    Address,
    /// A task.
    Task,
    /// The headline of a report.
    Headline,
    /// What comes next in a listing.
    Here,
    /// What went wrong.
    Problem,
    /// What a person typed.
    Typed,
}

impl From<Style> for Mark {
    fn from(style: Style) -> Mark {
        match style {
            Style::Function => Mark::Function,
            Style::Place => Mark::Place,
            Style::Address => Mark::Address,
            Style::Task => Mark::Task,
            Style::Headline => Mark::Headline,
            Style::Here => Mark::Here,
            Style::Problem => Mark::Problem,
        }
    }
}

impl Text {
    /// A line of one kind.
    pub fn line(mark: Mark, text: impl Into<String>) -> Text {
        Text(vec![vec![(mark, text.into())]])
    }

    /// The first line that is not empty.
    pub fn headline(&self) -> Option<String> {
        let plain = |line: &TextLine| line.iter().map(|(_, piece)| piece.as_str()).collect::<String>();
        self.0.iter().map(plain).find(|line| !line.trim().is_empty())
    }
}

impl From<&Output> for Text {
    fn from(output: &Output) -> Text {
        let text = output.plain();
        let mut pieces: Vec<(Mark, &str)> = Vec::new();
        let mut done = 0;
        for (range, style) in output.marks() {
            pieces.push((Mark::Plain, &text[done..range.start]));
            pieces.push(((*style).into(), &text[range.clone()]));
            done = range.end;
        }
        pieces.push((Mark::Plain, &text[done..]));
        let mut lines: Vec<TextLine> = vec![Vec::new()];
        for (mark, piece) in pieces {
            for (n, part) in piece.split('\n').enumerate() {
                if n > 0 {
                    lines.push(Vec::new());
                }
                if let (false, Some(line)) = (part.is_empty(), lines.last_mut()) {
                    line.push((mark, part.replace('\t', "    ")));
                }
            }
        }
        // What ends a line begins no other.
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        Text(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_span_lines_and_last_line_ends_are_kept_apart() {
        let mut output = Output::from("in ");
        output.mark(Style::Function, "main").push(" ()\nnext\n");
        let text = Text::from(&output);
        assert_eq!(text.0.len(), 2);
        assert_eq!(text.0[0][1], (Mark::Function, "main".to_owned()));
        assert_eq!(text.headline().as_deref(), Some("in main ()"));
        assert_eq!(Text::from(&Output::from("\n\nx")).headline().as_deref(), Some("x"));
    }
}
