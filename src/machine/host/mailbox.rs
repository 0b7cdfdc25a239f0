//! How a runner sleeps: suspended, it answers what is asked of its store, and goes on only when it is to run.
//!
//! ```text
//! suspend, pause ─▶ yield ─▶ polled ─┬─ there is mail: answer ─▶ yield
//!                                    └─ none: wake ─▶ the guest goes on
//! ```

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;

use wasmtime::{AsContextMut, Val};
use wkdb_debugger::inferior::StopReason;
use wkdb_tracer::{ModuleId, Outcome, RunnerId};

use super::super::detect::contents::Trespass;
use super::super::detect::{Errand, Violation};
use super::super::runners::Wake;
use super::{RunnerData, breaks, charge, inspect, owned};

/// Suspends the fiber until it is polled again.
async fn yield_now() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Suspends the fiber until the runner is to go on. A question is not a wake-up.
async fn sleep(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) -> wasmtime::Result<()> {
    super::contents::note_stack_pointers(store);
    loop {
        yield_now().await;
        let mail = store.as_context().data().shared.core.borrow_mut().debug.mail.take();
        let Some(request) = mail else { return wake(store) };
        let answer = inspect::answer(store, request);
        store.as_context().data().shared.core.borrow_mut().debug.reply = Some(answer);
    }
}

/// Suspends the runner until it is scheduled again.
///
/// The caller has already said in the runner table what it waits for.
pub(super) async fn suspend(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
) -> wasmtime::Result<Option<Wake>> {
    charge(store);
    sleep(store).await?;
    let data = store.as_context().data();
    Ok(data.shared.core.borrow_mut().runners.take_wake(data.me))
}

/// Suspends the runner for good; its stack stays to be looked at.
pub(super) async fn park(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) -> wasmtime::Result<Infallible> {
    {
        let data = store.as_context().data();
        data.shared.core.borrow_mut().runners.stop(data.me);
    }
    loop {
        suspend(store).await?;
    }
}

/// Stops the machine in the middle of what this runner does, until the debugger lets it go on.
pub(super) async fn pause(store: &mut (impl AsContextMut<Data = RunnerData> + Send), reason: StopReason) {
    charge(store);
    store.as_context().data().shared.core.borrow_mut().debug.pending = Some(reason);
    doze(store).await;
    let mut context = store.as_context_mut();
    let debug = &mut context.data_mut().debug;
    debug.shown = None;
    debug.ready = false;
    debug.lost_stack = None;
}

/// Suspends the runner at an instruction at which something of a recording is due, until that is done.
pub(super) async fn meet(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) {
    store.as_context().data().shared.core.borrow_mut().debug.met = true;
    doze(store).await;
}

/// Has those who look at traps look at this one, before the kernel deals with it.
pub(super) async fn have_looked_at(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) {
    {
        let data = store.as_context().data();
        let mut core = data.shared.core.borrow_mut();
        if !core.detection.looks_at_traps {
            return;
        }
        core.detection.errand = Some(Errand::Trap);
    }
    doze(store).await;
}

/// Whether what was written is in use.
pub(super) async fn is_in_use(store: &mut (impl AsContextMut<Data = RunnerData> + Send), violation: Violation) -> bool {
    store.as_context().data().shared.core.borrow_mut().detection.errand = Some(Errand::IsInUse(violation));
    doze(store).await;
    std::mem::take(&mut store.as_context().data().shared.core.borrow_mut().detection.confirmed)
}

/// Whether a write into the stack of another runner is a mistake, and which.
pub(super) async fn trespass(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    owner: RunnerId,
    written: std::ops::Range<u64>,
) -> Option<Trespass> {
    store.as_context().data().shared.core.borrow_mut().detection.errand = Some(Errand::Trespass(owner, written));
    doze(store).await;
    store.as_context().data().shared.core.borrow_mut().detection.trespass.take()
}

async fn doze(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) {
    let slept = sleep(store).await;
    let data = store.as_context().data();
    if let Err(error) = slept {
        let mut core = data.shared.core.borrow_mut();
        core.stop(Outcome::Broken(format!("a runner cannot go on after a stop: {error:#}")));
    }
}

/// Stops the machine if this runner is about to run an image that nobody has run before, and the debugger wants that.
pub(super) async fn pause_at_load(store: &mut (impl AsContextMut<Data = RunnerData> + Send), module: ModuleId) {
    let stops = store.as_context().data().shared.core.borrow_mut().debug.stops_for(module);
    if stops {
        pause(store, StopReason::ModuleLoaded(module)).await;
    }
}

/// Stops the machine if a watch was hit that wants it, by the host on this runner's behalf.
pub(super) async fn pause_at_hits(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) {
    let hits = std::mem::take(&mut store.as_context().data().shared.core.borrow_mut().debug.hits);
    if !hits.is_empty() {
        pause(store, StopReason::Watch(hits)).await;
    }
}

/// The same for the guest's own instruction, behind it.
pub(super) async fn pause_behind_hits(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) {
    if !store.as_context().data().shared.core.borrow().debug.hits.is_empty() {
        breaks::show_behind(store);
        pause_at_hits(store).await;
    }
}

/// Gives the store what it keeps a copy of and has changed while it slept: the memory's size, the
/// breakpoints; and, in a new turn, its ticks.
pub(super) fn wake(store: &mut impl AsContextMut<Data = RunnerData>) -> wasmtime::Result<()> {
    let data = store.as_context().data();
    let (turn, budget) = {
        let mut core = data.shared.core.borrow_mut();
        let me = data.me;
        if let Some(runner) = core.runners.get_mut(me) {
            runner.started = true;
        }
        (core.turn, core.budget as i32)
    };
    let (globals, memory, pages) = (data.globals, data.memory, data.shared.memory.pages());
    let known_turn = data.turn;
    if let Some(memory) = memory {
        let known = memory.size(&*store);
        if known < pages {
            memory.grow(&mut *store, pages - known)?;
        }
    }
    if let Some(globals) = globals
        && turn != known_turn
    {
        globals.ticks.set(&mut *store, Val::I32(budget))?;
        let mut context = store.as_context_mut();
        let data = context.data_mut();
        (data.turn, data.granted) = (turn, budget);
    }
    owned::mark_fresh(store);
    breaks::sync(store)
}
