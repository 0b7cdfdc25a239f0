//! Detectors in the rewritten code, as the host hears them.

use wasmtime::AsContextMut;
use wkdb_debugger::inferior::StopReason;
use wkdb_tracer::Finding;

use super::{RunnerData, breaks, park, pause};

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
