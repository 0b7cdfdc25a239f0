//! The breakpoints and watches that a client has set.
//!
//! gdb takes all of them away at every stop and sets them again before it goes on. So what is taken away stays with the
//! inferior until the machine goes on without it.

use super::modules::Modules;
use super::view::Fault;
use crate::companion::layout::Region;
use crate::inferior::{
    BreakpointId, BreakpointSpec, Inferior, InferiorError, StopReason, WatchCondition, WatchId, WatchKind, WatchSpec,
};

/// What a client asks to stop at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `Z0`.
    Software,
    /// `Z1`: the same to us.
    Hardware,
    /// `Z2` to `Z4`.
    Watch(WatchKind),
}

/// A breakpoint or watch, as the client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) kind: Kind,
    /// In the client's addresses.
    pub(super) address: u64,
    /// Bytes watched; of breakpoints, the same whenever it is named.
    pub(super) len: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    Breakpoint(BreakpointId),
    Watch(WatchId),
    /// Where nothing ever executes.
    Never,
}

#[derive(Debug)]
struct Entry {
    point: Point,
    id: Id,
    /// The client does not want it any more.
    stale: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Points {
    entries: Vec<Entry>,
}

impl Points {
    /// Sets a point; nothing where it is set.
    pub(super) fn insert(&mut self, inferior: &mut dyn Inferior, modules: &Modules, point: Point) -> Result<(), Fault> {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.point == point) {
            entry.stale = false;
            return Ok(());
        }
        let id = match point.kind {
            Kind::Software | Kind::Hardware => match modules.instruction(point.address) {
                Some(address) => {
                    let spec = BreakpointSpec { address, only: None, temporary: false };
                    Id::Breakpoint(inferior.insert_breakpoint(&spec)?)
                }
                // Clients set one where the outermost function returns to.
                None if matches!(modules.layout().region(point.address), Region::Host(_)) => Id::Never,
                None => {
                    return Err(Fault::ReadOnly(format!(
                        "there is no code at {:#x}: no breakpoint set",
                        point.address
                    )));
                }
            },
            Kind::Watch(kind) => match modules.layout().region(point.address) {
                Region::Memory => {
                    let condition = WatchCondition::default();
                    let spec = WatchSpec { address: point.address, len: point.len, kind, condition, stop: true };
                    Id::Watch(inferior.insert_watch(&spec)?)
                }
                Region::Frames => {
                    return Err(Fault::ReadOnly(
                        "this variable is in a Wasm local, which has no address: only memory can be watched \
                         (compile with -O0, or watch what it points to)"
                            .into(),
                    ));
                }
                Region::Globals { .. } => {
                    return Err(Fault::ReadOnly("Wasm globals cannot be watched, only memory".into()));
                }
                Region::Code(_) | Region::Host(_) => {
                    return Err(Fault::ReadOnly("Wasm code is never written nor read: it cannot be watched".into()));
                }
                Region::Nothing => return Err(Fault::NoMemory(point.address)),
            },
        };
        self.entries.push(Entry { point, id, stale: false });
        Ok(())
    }

    /// Takes a point away; false if it is not set.
    pub(super) fn remove(&mut self, point: Point) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.point == point && !entry.stale);
        if let Some(entry) = entry {
            entry.stale = true;
            true
        } else {
            false
        }
    }

    /// Whether a breakpoint here has been taken away since the machine stopped.
    pub(super) fn is_stale(&self, address: u64) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.stale && entry.point.address == address && !matches!(entry.point.kind, Kind::Watch(_)))
    }

    /// Tells the inferior of those that were taken away: before the machine goes on.
    pub(super) fn settle(&mut self, inferior: &mut dyn Inferior) -> Result<(), InferiorError> {
        let mut result = Ok(());
        self.entries.retain(|entry| {
            if !entry.stale {
                return true;
            }
            let removed = match entry.id {
                Id::Breakpoint(id) => inferior.remove_breakpoint(id),
                Id::Watch(id) => inferior.remove_watch(id),
                Id::Never => Ok(()),
            };
            match removed {
                Ok(()) => false,
                Err(error) => {
                    result = Err(error);
                    true
                }
            }
        });
        result
    }

    /// Takes all away.
    pub(super) fn clear(&mut self, inferior: &mut dyn Inferior) -> Result<(), InferiorError> {
        for entry in &mut self.entries {
            entry.stale = true;
        }
        self.settle(inferior)
    }

    /// Takes over what another set has.
    pub(super) fn append(&mut self, mut other: Points) {
        self.entries.append(&mut other.entries);
    }

    /// Whether nothing is set, nor has to be taken away.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a client is told of a stop: the field of the stop reply, if it is about one of these.
    pub(super) fn field(&self, reason: &StopReason) -> Option<String> {
        match reason {
            StopReason::Breakpoint(ids) => {
                let ours = |entry: &&Entry| matches!(entry.id, Id::Breakpoint(id) if ids.contains(&id));
                let hit = self.entries.iter().find(ours)?;
                Some(if hit.point.kind == Kind::Hardware { "hwbreak:;" } else { "swbreak:;" }.to_owned())
            }
            StopReason::Watch(hits) => hits.iter().find_map(|(id, _)| {
                let entry = self.entries.iter().find(|entry| entry.id == Id::Watch(*id))?;
                let Kind::Watch(kind) = entry.point.kind else { return None };
                let name = match kind {
                    WatchKind::Write => "watch",
                    WatchKind::Read => "rwatch",
                    WatchKind::Access => "awatch",
                };
                // Its own address, wherever in it the access was: lldb does not know it by another one.
                Some(format!("{name}:{:x};", entry.point.address))
            }),
            _ => None,
        }
    }
}
