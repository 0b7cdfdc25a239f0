//! Detectors in the rewritten code, as the host hears them.

use wasmtime::AsContextMut;
use wkdb_debugger::inferior::StopReason;
use wkdb_tracer::Finding;

use super::super::detect::Verdict;
use super::{RunnerData, breaks, frames, is_in_use, owned, park, pause, site};

/// The guest's instruction wrote something that is watched: tells of what detectors make of that.
pub(super) async fn wrote(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) -> wasmtime::Result<()> {
    let shared = store.as_context().data().shared.clone();
    if !shared.core.borrow().has_touched() {
        return Ok(());
    }
    let place = site(store);
    shared.core.borrow_mut().let_owners_write(place);
    if !shared.core.borrow().has_touched() {
        owned::mark_fresh(store);
        return Ok(());
    }
    // The access was charged.
    let stack = frames(store);
    debug_assert!(
        place.is_none() || stack.first().is_none_or(|frame| Some(frame.address.offset) == place),
        "{place:?}"
    );
    let me = store.as_context().data().me;
    let verdicts = {
        let mut core = shared.core.borrow_mut();
        let context = core.context(me);
        core.judge(&shared.images.borrow(), &context, &stack)
    };
    for verdict in verdicts {
        let finding = match verdict {
            Verdict::Told(finding) => finding,
            Verdict::IfInUse(violation, finding) => {
                if !is_in_use(store, violation).await {
                    continue;
                }
                finding
            }
        };
        if shared.core.borrow_mut().tell_once(&finding) {
            found(store, finding).await?;
        }
    }
    owned::mark_fresh(store);
    Ok(())
}

/// Tells of what a detector found at the instruction that is under way; behind it the machine stops, if a debugger is
/// there, or ends, if that was to end the run.
pub(super) async fn found(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    finding: Finding,
) -> wasmtime::Result<()> {
    let (told, over, attached) = {
        let context = store.as_context();
        let mut core = context.data().shared.core.borrow_mut();
        let was_over = core.stop.is_some();
        let told = core.found(&finding);
        (told, core.stop.is_some() && !was_over, core.debug.attached)
    };
    if !told {
        return Ok(());
    }
    breaks::show_behind(store);
    if over {
        // What comes next is no part of the run.
        park(store).await?;
    } else if attached {
        pause(store, StopReason::Finding { findings: vec![finding], at_instruction: true }).await;
    }
    Ok(())
}
