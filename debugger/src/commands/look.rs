//! What a screen shows of a session: plain data, without words around it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wkdb_tracer::{CodeAddress, Event, ModuleId, RunnerId};

use super::Debugger;
use super::disassembly::disassemble;
use super::error::{CommandError, Result};
use super::events;
use super::points::{Details, spec_text};
use super::selection::FrameView;
use crate::expr::Format;
use crate::inferior::{Inferior, WatchKind};
use crate::kernel::Kernel;
use crate::symbols::SourcePosition;

/// A breakpoint or a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointView {
    /// Its number, as commands take it.
    pub number: u32,
    /// `break`, `watch`, `rwatch` or `awatch`.
    pub kind: String,
    /// Whether it stops.
    pub enabled: bool,
    /// Gone after its first stop.
    pub temporary: bool,
    /// How often it was come to with its condition true.
    pub hits: u64,
    /// Where, or of what.
    pub what: String,
    /// It stops only if this is not zero.
    pub condition: Option<String>,
    /// What else limits it.
    pub remarks: Vec<String>,
    /// Where it is in code: none for watches, and for breakpoints whose module has not come.
    pub places: Vec<PointPlace>,
    /// The first byte and the number of bytes that are watched.
    pub watched: Option<(u64, u64)>,
}

/// A place of a breakpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointPlace {
    /// The instruction.
    pub address: CodeAddress,
    /// Its source file and line.
    pub line: Option<(String, u32)>,
}

/// A variable of a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableView {
    /// Its name.
    pub name: String,
    /// Its value, in one line; or, in `<…>`, why there is none.
    pub value: String,
    /// Whether it is an argument of the function.
    pub argument: bool,
}

/// The text of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionText {
    /// Its name.
    pub name: String,
    /// Its instructions in order, and the source lines that they belong to.
    pub lines: Vec<InstructionLine>,
}

/// A line of a function's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionLine {
    /// The instruction.
    pub address: CodeAddress,
    /// It, indented by its nesting.
    pub text: String,
    /// Where in the source, where that is another place than that of the line before.
    pub place: Option<String>,
}

impl Debugger {
    /// All breakpoints and watches, by number.
    pub fn point_views(&mut self, inferior: &mut dyn Inferior) -> Vec<PointView> {
        let mut views = Vec::new();
        let mut addresses = Vec::new();
        for point in self.points.iter() {
            let (kind, what, remarks, watched) = match &point.details {
                Details::Break(details) => {
                    let what = match &details.places[..] {
                        [place] => place.text.clone(),
                        [] => format!("{} (pending)", spec_text(&details.spec)),
                        places => format!("{} ({} places)", spec_text(&details.spec), places.len()),
                    };
                    let only = details.only.map(|runner| format!("only in task {}", runner.0 + 1));
                    ("break", what, only.into_iter().collect(), None)
                }
                Details::Watch(watch) => {
                    let kind = match watch.spec.kind {
                        WatchKind::Write => "watch",
                        WatchKind::Read => "rwatch",
                        WatchKind::Access => "awatch",
                    };
                    (kind, watch.expression.clone(), watch.remarks(), Some((watch.spec.address, watch.spec.len)))
                }
            };
            addresses.push(match &point.details {
                Details::Break(details) => details.places.iter().map(|place| place.address).collect(),
                Details::Watch(_) => Vec::new(),
            });
            views.push(PointView {
                number: point.number,
                kind: kind.to_owned(),
                enabled: point.enabled,
                temporary: point.temporary,
                hits: point.hits,
                what,
                condition: point.condition.clone(),
                remarks,
                places: Vec::new(),
                watched,
            });
        }
        for (view, addresses) in views.iter_mut().zip(addresses) {
            let place = |address| PointPlace { address, line: self.line_of(inferior, address) };
            view.places = addresses.into_iter().map(place).collect();
        }
        views
    }

    /// The source file and line of an instruction.
    fn line_of(&mut self, inferior: &mut dyn Inferior, address: CodeAddress) -> Option<(String, u32)> {
        let frame = self.modules.locate(inferior, address)?.frames.into_iter().next()?;
        let source = frame.source?;
        Some((source.file, source.line?))
    }

    /// The function at an instruction, inlined or not.
    pub fn function_name(&mut self, inferior: &mut dyn Inferior, address: CodeAddress) -> Option<String> {
        Some(self.modules.locate(inferior, address)?.frames.into_iter().next()?.function)
    }

    /// The lines of a source file; none where it is not found.
    pub fn source_text(&mut self, position: &SourcePosition) -> Option<Arc<Vec<String>>> {
        Some(Arc::new(self.sources.lines(position)?.as_ref().clone()))
    }

    /// The function at an instruction, as text. Takes a moment where the module is large.
    ///
    /// # Errors
    /// There is none, or its module cannot be printed.
    pub fn function_lines(&mut self, inferior: &mut dyn Inferior, address: CodeAddress) -> Result<FunctionText> {
        let function = self.modules.locate(inferior, address).and_then(|location| location.function);
        let function = function.ok_or_else(|| CommandError::refused("there is no function here"))?;
        let module = inferior.module(address.module)?;
        let text = disassemble(&module, function.start..function.end).map_err(CommandError::Refused)?;
        let mut lines = Vec::new();
        let mut last = None;
        for line in text {
            let address = CodeAddress { module: address.module, offset: line.offset };
            let at = self.line_of(inferior, address);
            let place =
                at.as_ref().filter(|at| last.as_ref() != Some(*at)).map(|(file, line)| format!("{file}:{line}"));
            last = at.or(last);
            lines.push(InstructionLine { address, text: line.text, place });
        }
        Ok(FunctionText { name: function.name, lines })
    }

    /// The variables of a frame, arguments first.
    ///
    /// # Errors
    /// The frame is gone, its locals cannot be read, or its module has no symbols.
    pub fn variables(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
        view: &FrameView,
    ) -> Result<Vec<VariableView>> {
        // Why there are no values is told once, not for each.
        inferior.frame_states(runner)?;
        let format = Format { max_elements: 64, ..Format::default() };
        let mut variables = self.in_frame(inferior, Some((runner, view)), view.address.module, |evaluator| {
            let variables = evaluator.locals();
            let shown = variables.into_iter().map(|(variable, value)| VariableView {
                value: match value {
                    Ok(value) => evaluator.format(&value, &format).split_whitespace().collect::<Vec<_>>().join(" "),
                    Err(error) => format!("<{error}>"),
                },
                name: variable.name,
                argument: variable.parameter,
            });
            Ok(shown.collect::<Vec<_>>())
        })?;
        variables.sort_by_key(|variable| !variable.argument);
        Ok(variables)
    }

    /// Looks at a frame of a task, counted from the innermost, from now on.
    pub fn look_at(&mut self, runner: RunnerId, frame: usize) {
        self.select_task(runner);
        self.selection.frame = frame;
    }

    /// The task that is looked at; none before the first one runs.
    pub fn looked_at(&mut self, inferior: &mut dyn Inferior) -> Option<RunnerId> {
        Some(self.selected_task(inferior).ok()?.context.runner)
    }

    /// Looks at the kernel's own structures; none where its module has no debug information.
    pub fn kernel<T>(&mut self, inferior: &mut dyn Inferior, look: impl FnOnce(&Kernel<'_>) -> T) -> Option<T> {
        let symbols = self.modules.symbols(inferior, ModuleId::KERNEL).filter(|symbols| symbols.has_dwarf())?;
        Some(look(&Kernel::new(inferior, symbols)))
    }

    /// An event in a line.
    pub fn event_text(&mut self, inferior: &mut dyn Inferior, event: &Event) -> String {
        events::line(event, |frame| self.place_of(inferior, frame))
    }

    /// The name of what lies at an address of memory: a symbol and how far behind its start.
    pub fn name_at(&mut self, inferior: &mut dyn Inferior, address: u64) -> Option<String> {
        self.data_name(inferior, address)
    }
}
