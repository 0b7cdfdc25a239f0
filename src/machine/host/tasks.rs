//! CPUs and tasks: the baton.

use wasmtime::{Caller, Val};
use wkdb_tracer::{Cpu, Event, Outcome, TaskId};

use super::super::config::Quirk;
use super::super::core::Entry;
use super::super::runners::{Switched, Wake};
use super::user::{self, ImageRef};
use super::{RunnerData, charge, frames, here, park, suspend, word};

/// Longest `comm` or panic text that is read, in bytes.
const MAX_TEXT: u64 = 1024;

/// `wasm_start_cpu(cpu, idle_task, start_stack)`, or without the stack in the 7.0 era: there the idle task itself is
/// what `_start_secondary` is called with.
pub(super) fn start_cpu(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let cpu = Cpu(word(params.first()) as u32);
    let idle = word(params.get(1));
    let argument = params.get(2).map_or(idle, |p| word(Some(p)));
    let mut core = shared.core.borrow_mut();
    core.progress();
    if core.runners.holder(cpu).is_some() {
        core.complain(Some(me), format!("wasm_start_cpu({}): that CPU already runs", cpu.0));
    }
    core.start_cpu(cpu, TaskId(idle), argument);
    Ok(0)
}

/// `wasm_stop_cpu(cpu)`: kills that CPU's runner. Of CPU 0 it means a panic on a broken stack.
pub(super) async fn stop_cpu(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let cpu = Cpu(word(params.first()) as u32);
    let stops_itself = {
        let mut core = shared.core.borrow_mut();
        let holder = core.runners.holder(cpu);
        if cpu == Cpu(0) {
            drop(core);
            let stack = frames(&caller);
            core = shared.core.borrow_mut();
            let context = core.context(me);
            let message = "the kernel stopped CPU 0 (a panic whose stack cannot be trusted)".to_owned();
            core.tell(Event::Panic { context, message: message.clone(), stack });
            core.debug.panic = Some(message);
            core.stop_at_panic();
        } else if let Some(holder) = holder {
            let context = core.context(holder);
            core.runners.stop(holder);
            core.tell(Event::CpuStopped { context });
        } else {
            core.complain(Some(me), format!("wasm_stop_cpu({}): that CPU does not run", cpu.0));
        }
        cpu == Cpu(0) || holder == Some(me)
    };
    if stops_itself {
        park(&mut caller).await?;
    }
    Ok(0)
}

/// `wasm_create_and_run_task(prev, new, name, bin_start, bin_end, data_start, table_start)`.
pub(super) async fn create_and_run(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let arg = |n: usize| word(params.get(n));
    let (prev, new) = (arg(0), arg(1));
    let comm = String::from_utf8_lossy(&shared.memory.read_cstr(arg(2), MAX_TEXT)).into_owned();
    let image =
        (arg(3) != 0).then(|| ImageRef { bin_start: arg(3), bin_end: arg(4), data_start: arg(5), table_start: arg(6) });
    // Now, as the bytes may be gone before the new runner is first scheduled.
    let clone = image.map(|image| user::prepare(&mut caller, image, true));
    let early = {
        let mut core = shared.core.borrow_mut();
        core.progress();
        let cpu = core.context(me).cpu;
        let id = core.spawn(TaskId(new), comm, cpu, false, Entry::Fork { prev, new });
        if let Some(clone) = clone {
            shared.clones.borrow_mut().insert(id, clone);
        }
        let context = core.context(id);
        core.tell(Event::TaskBorn { context });
        core.trace_switch(me, TaskId(new));
        core.runners.sleep(me)
    };
    finish_switch(caller, early).await
}

/// `wasm_serialize_tasks(prev, next)`: hands the baton of the CPU to `next`.
pub(super) async fn serialize(mut caller: Caller<'_, RunnerData>, prev: u64, next: u64) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let next = TaskId(next);
    let early = {
        let mut core = shared.core.borrow_mut();
        core.progress();
        let now = core.now;
        core.trace_switch(me, next);
        // Of a caller that may be gone afterwards.
        let context = core.runners.of_task(next).is_none().then(|| core.context(me));
        match core.runners.switch(me, prev, next, now) {
            Switched::Immediately(from) => Some(from),
            Switched::Asleep => None,
            Switched::Lost => {
                let cpu = context.as_ref().map_or_else(|| "its CPU".to_owned(), |context| context.cpu.to_string());
                let text =
                    format!("switched to task {next}, which has no runner (was it released?): nobody holds {cpu} now");
                core.tell(Event::Complaint { context, text });
                None
            }
        }
    };
    finish_switch(caller, early).await
}

/// Sleeps until someone switches to this runner, and returns who did.
async fn finish_switch(mut caller: Caller<'_, RunnerData>, early: Option<u64>) -> wasmtime::Result<i64> {
    let mut from = early;
    while from.is_none() {
        if let Some(Wake::Baton(task)) = suspend(&mut caller).await? {
            from = Some(task);
        }
    }
    Ok(from.unwrap_or(0) as i64)
}

/// `wasm_release_task(task)`.
pub(super) async fn release(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let task = TaskId(word(params.first()));
    let is_destroyed = {
        let mut core = shared.core.borrow_mut();
        core.progress();
        let eager = core.config.quirks.contains(&Quirk::EagerRelease) && core.runners.of_task(task) == Some(me);
        let context = core.released(task);
        match context {
            Some(context) => {
                core.trace_gone(context.runner);
                core.tell(Event::TaskGone { context });
            }
            None => core.complain(Some(me), format!("wasm_release_task({task}): that task has no runner")),
        }
        if eager {
            let now = core.now;
            core.runners.destroy(me, now);
        }
        eager
    };
    if is_destroyed {
        // Its fiber is dropped before it would be resumed.
        park(&mut caller).await?;
    }
    Ok(0)
}

/// `wasm_panic(msg)`: everything stops, and stays as it is.
pub(super) async fn panic(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let message = shared.memory.read_cstr(word(params.first()), MAX_TEXT);
    let message = String::from_utf8_lossy(&message).trim_end().to_owned();
    let stack = frames(&caller);
    {
        let mut core = shared.core.borrow_mut();
        let context = core.context(me);
        core.tell(Event::Panic { context, message: message.clone(), stack });
        core.debug.panic = Some(message);
        core.stop_at_panic();
    }
    park(&mut caller).await?;
    Ok(0)
}

impl super::super::core::Core {
    /// Releases a task's runner; gives whose it was.
    fn released(&mut self, task: TaskId) -> Option<wkdb_tracer::Context> {
        let id = self.runners.of_task(task)?;
        let context = self.context(id);
        self.runners.release(task).then_some(context)
    }

    fn stop_at_panic(&mut self) {
        use crate::condition::Condition;
        let asked_for = self.config.until.contains(&Condition::Panic);
        self.stop(if asked_for { Outcome::Until(Condition::Panic.to_string()) } else { Outcome::Panic });
    }
}
