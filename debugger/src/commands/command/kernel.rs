//! `kernel`: what the guest kernel's own structures say.

use wkdb_tracer::ModuleId;

use super::super::error::{CommandError, Result};
use super::super::output::{Output, Table};
use super::super::words::{Words, nearest, parse_number};
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;
use crate::kernel::{ViewKind, ViewRequest};

/// A view of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Which; none lists them.
    pub view: Option<ViewKind>,
    /// Of what: an expression.
    pub of: Option<String>,
    /// As a line of JSON.
    pub json: bool,
}

/// The names of the views.
pub(in super::super) fn view_names() -> impl Iterator<Item = &'static str> {
    ViewKind::ALL.iter().map(|(_, name, _)| *name)
}

/// The views, a line each.
fn views() -> Output {
    let mut table = Table::default();
    for (_, name, about) in ViewKind::ALL {
        table.row([(format!("  kernel {name}"), None), ((*about).to_owned(), None)]);
    }
    table.into_output()
}

fn find_view(typed: &str) -> Result<ViewKind> {
    if let Some(kind) = ViewKind::named(typed) {
        return Ok(kind);
    }
    let found: Vec<_> = view_names().filter(|name| name.starts_with(typed)).collect();
    match found[..] {
        [name] => ViewKind::named(name).ok_or_else(|| CommandError::missing("view", typed)),
        [] => Err(CommandError::Missing { what: "view", name: typed.to_owned(), near: nearest(typed, view_names()) }),
        _ => Err(CommandError::Ambiguous { name: typed.to_owned(), candidates: found }),
    }
}

impl Kernel {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let mut rest: Vec<&str> = words.rest().unwrap_or("").split_whitespace().collect();
        let before = rest.len();
        rest.retain(|word| *word != "--json");
        let json = rest.len() < before;
        let Some((name, of)) = rest.split_first() else {
            return match json {
                true => Err(words.wrong("which view as JSON?")),
                false => Ok(Command::Kernel(Kernel { view: None, of: None, json })),
            };
        };
        let view = find_view(name)?;
        let takes_more = matches!(view, ViewKind::Fds | ViewKind::Maps | ViewKind::Address);
        let of = Some(of.join(" ")).filter(|of| !of.is_empty());
        match of {
            Some(of) if !takes_more => Err(words.wrong(format!("{of:?} is too much"))),
            None if view == ViewKind::Address => Err(words.wrong("an address is missing")),
            of => Ok(Command::Kernel(Kernel { view: Some(view), of, json })),
        }
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let Some(kind) = self.view else { return Ok(Reply::say(views())) };
        let of = match self.of {
            // Numbers can be told without a task to look at.
            Some(of) => Some(parse_number(&of).map_or_else(|| debugger.address_of(inferior, &of), Ok)?),
            None => None,
        };
        let symbols = debugger.modules.symbols(inferior, ModuleId::KERNEL);
        let symbols = symbols.ok_or_else(|| CommandError::refused("the kernel's module cannot be read"))?;
        let request = ViewRequest { kind, of };
        let view = request.view(inferior, symbols).map_err(|error| CommandError::refused(error.to_string()))?;
        Ok(Reply::say(match self.json {
            true => {
                let line = serde_json::to_string(&view).map_err(|error| CommandError::refused(error.to_string()))?;
                Output::from(line + "\n")
            }
            false => view.text(),
        }))
    }
}
