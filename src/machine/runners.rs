//! The runners of a machine: who they are, what they wait for, and which CPU's baton they hold.
//!
//! ```text
//!                    wait                       switch away
//!   Waiting ◀──────────────── Runnable ───────────────────────▶ SwitchedOut
//!      │   notify, time out      ▲  │ panic, stop_cpu    switched to  │
//!      └────────────────────────▶│  └──────────────▶ Stopped          │
//!                                └──────────────────────────────────-─┘
//! ```
//!
//! All transitions are methods of [`Runners`]. It knows nothing of Wasmtime: the fibers are the executor's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wkdb_tracer::{Cpu, GuestTime, RunnerId, RunnerState, TaskId};

use super::table::Table;

/// With what a suspended runner goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Its atomic wait was notified.
    Notified,
    /// Its atomic wait timed out.
    TimedOut,
    /// It was switched to by this task.
    Baton(u64),
}

/// One runner.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) task: TaskId,
    pub(super) comm: String,
    pub(super) cpu: Cpu,
    pub(super) state: RunnerState,
    /// The idle task of its CPU.
    pub(super) idle: bool,
    /// Its fiber was resumed at least once.
    pub(super) started: bool,
    /// When it last gave up its CPU or got it.
    pub(super) since: GuestTime,
    /// It was reported for holding its CPU since then.
    pub(super) reported: bool,
    /// With what it goes on once it is resumed.
    wake: Option<Wake>,
    /// It was switched to before it had switched away: the wake that must not be lost.
    early_baton: Option<u64>,
    /// Its task was released; it is destroyed at its next switch away.
    doomed: bool,
    /// Its entry among the timers.
    timer: Option<(GuestTime, u64)>,
}

/// What became of a switch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Switched {
    /// The caller sleeps until it is switched to.
    Asleep,
    /// The caller was already switched to, by this task, and goes on.
    Immediately(u64),
    /// The task switched to has no runner: nobody holds the CPU's baton now. The caller sleeps.
    Lost,
}

/// How a CPU came to have nobody who runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Who ran on it last.
    pub(super) runner: RunnerId,
    pub(super) task: TaskId,
    pub(super) comm: String,
    pub(super) at: GuestTime,
    /// The task that it switched to, where that has no runner; otherwise it was destroyed.
    pub(super) to: Option<TaskId>,
}

#[derive(Default)]
pub(super) struct Runners {
    all: Table<Runner>,
    by_task: BTreeMap<TaskId, RunnerId>,
    holders: BTreeMap<Cpu, RunnerId>,
    /// CPUs that had a holder and have none.
    lost: BTreeMap<Cpu, Lost>,
    runnable: BTreeSet<RunnerId>,
    waiters: BTreeMap<u64, VecDeque<RunnerId>>,
    timers: BTreeSet<(GuestTime, u64, RunnerId)>,
    timer_seq: u64,
    created: u32,
    /// Runners that are gone and whose fibers the executor has yet to drop.
    graveyard: Vec<RunnerId>,
}

impl Runners {
    /// A new runner, runnable, with the baton of `cpu`. Gives also the runner that had the same task, if that was
    /// never released.
    pub(super) fn create(
        &mut self,
        task: TaskId,
        comm: String,
        cpu: Cpu,
        idle: bool,
        now: GuestTime,
    ) -> (RunnerId, Option<RunnerId>) {
        let id = RunnerId(self.created);
        self.created += 1;
        let runner = Runner {
            task,
            comm,
            cpu,
            state: RunnerState::Runnable,
            idle,
            started: false,
            since: now,
            reported: false,
            wake: None,
            early_baton: None,
            doomed: false,
            timer: None,
        };
        self.all.insert(id, runner);
        self.runnable.insert(id);
        self.hand_over(cpu, id);
        (id, self.by_task.insert(task, id))
    }

    pub(super) fn get(&self, id: RunnerId) -> Option<&Runner> {
        self.all.get(id)
    }

    pub(super) fn get_mut(&mut self, id: RunnerId) -> Option<&mut Runner> {
        self.all.get_mut(id)
    }

    /// The runner of a task that was not released.
    pub(super) fn of_task(&self, task: TaskId) -> Option<RunnerId> {
        self.by_task.get(&task).copied()
    }

    pub(super) fn ids(&self) -> Vec<RunnerId> {
        self.all.iter().map(|(id, _)| id).collect()
    }

    pub(super) fn runnable(&self) -> &BTreeSet<RunnerId> {
        &self.runnable
    }

    /// How many runners were ever created.
    pub(super) fn created(&self) -> u32 {
        self.created
    }

    pub(super) fn alive(&self) -> u32 {
        self.all.len() as u32
    }

    pub(super) fn holder(&self, cpu: Cpu) -> Option<RunnerId> {
        self.holders.get(&cpu).copied()
    }

    /// The CPUs whose baton is lost.
    pub(super) fn lost(&self) -> impl Iterator<Item = (Cpu, &Lost)> {
        self.lost.iter().map(|(&cpu, lost)| (cpu, lost))
    }

    fn hand_over(&mut self, cpu: Cpu, to: RunnerId) {
        self.holders.insert(cpu, to);
        self.lost.remove(&cpu);
    }

    /// Runners of `cpu`, the idle task aside, that wait to be switched to.
    pub(super) fn others_switched_out(&self, cpu: Cpu) -> u32 {
        let waits = |r: &&Runner| r.cpu == cpu && !r.idle && r.state == RunnerState::SwitchedOut;
        self.all.iter().map(|(_, r)| r).filter(waits).count() as u32
    }

    /// Puts a runner to sleep in an atomic wait on `address`.
    pub(super) fn wait(&mut self, id: RunnerId, address: u64, deadline: GuestTime) {
        self.runnable.remove(&id);
        self.waiters.entry(address).or_default().push_back(id);
        let mut timer = None;
        if deadline != GuestTime::NEVER {
            self.timer_seq += 1;
            timer = Some((deadline, self.timer_seq));
            self.timers.insert((deadline, self.timer_seq, id));
        }
        if let Some(runner) = self.all.get_mut(id) {
            runner.state = RunnerState::Waiting { address, deadline };
            runner.timer = timer;
        }
    }

    /// Wakes up to `count` runners that wait on `address`, the longest waiting first. Gives how many.
    pub(super) fn notify(&mut self, address: u64, count: u32, now: GuestTime) -> u32 {
        let mut woken = 0;
        while woken < count {
            let Some(id) = self.waiters.get_mut(&address).and_then(VecDeque::pop_front) else { break };
            self.wake_from_wait(id, Wake::Notified, now);
            woken += 1;
        }
        if self.waiters.get(&address).is_some_and(VecDeque::is_empty) {
            self.waiters.remove(&address);
        }
        woken
    }

    /// Wakes every runner whose wait has timed out by `now`, in the order of their deadlines.
    pub(super) fn expire(&mut self, now: GuestTime) {
        while let Some(&(deadline, _, id)) = self.timers.first() {
            if deadline > now {
                break;
            }
            self.leave_queue(id);
            self.wake_from_wait(id, Wake::TimedOut, now);
        }
    }

    /// Those whose waits have timed out by `now`, in the order of their deadlines.
    pub(super) fn due(&self, now: GuestTime) -> impl Iterator<Item = RunnerId> {
        self.timers.iter().take_while(move |(deadline, ..)| *deadline <= now).map(|&(_, _, id)| id)
    }

    /// Those that wait on `address`, the longest waiting first.
    pub(super) fn waiting_on(&self, address: u64) -> impl Iterator<Item = RunnerId> {
        self.waiters.get(&address).into_iter().flatten().copied()
    }

    /// When the next wait times out.
    pub(super) fn next_deadline(&self) -> Option<GuestTime> {
        self.timers.first().map(|t| t.0)
    }

    fn leave_queue(&mut self, id: RunnerId) {
        let Some(RunnerState::Waiting { address, .. }) = self.all.get(id).map(|r| r.state) else { return };
        if let Some(queue) = self.waiters.get_mut(&address) {
            queue.retain(|&waiter| waiter != id);
            if queue.is_empty() {
                self.waiters.remove(&address);
            }
        }
    }

    fn cancel_timer(&mut self, id: RunnerId) {
        if let Some((deadline, seq)) = self.all.get_mut(id).and_then(|r| r.timer.take()) {
            self.timers.remove(&(deadline, seq, id));
        }
    }

    fn wake_from_wait(&mut self, id: RunnerId, wake: Wake, now: GuestTime) {
        self.cancel_timer(id);
        if let Some(runner) = self.all.get_mut(id) {
            runner.state = RunnerState::Runnable;
            runner.wake = Some(wake);
            runner.since = now;
            runner.reported = false;
            self.runnable.insert(id);
        }
    }

    /// With what a runner that was just resumed goes on.
    pub(super) fn take_wake(&mut self, id: RunnerId) -> Option<Wake> {
        self.all.get_mut(id)?.wake.take()
    }

    /// `id`, whose task is `prev`, hands the baton of its CPU to the runner of `next`, and sleeps.
    pub(super) fn switch(&mut self, id: RunnerId, prev: u64, next: TaskId, now: GuestTime) -> Switched {
        let Some(cpu) = self.all.get(id).map(|r| r.cpu) else { return Switched::Lost };
        let target = self.by_task.get(&next).copied();
        match target.and_then(|t| Some((t, self.all.get_mut(t)?))) {
            Some((target, runner)) => {
                runner.cpu = cpu;
                runner.since = now;
                runner.reported = false;
                if runner.state == RunnerState::SwitchedOut {
                    runner.state = RunnerState::Runnable;
                    runner.wake = Some(Wake::Baton(prev));
                    self.runnable.insert(target);
                } else {
                    runner.early_baton = Some(prev);
                }
                self.hand_over(cpu, target);
            }
            None => {
                self.holders.remove(&cpu);
                if let Some(Runner { task, comm, .. }) = self.all.get(id) {
                    let lost = Lost { runner: id, task: *task, comm: comm.clone(), at: now, to: Some(next) };
                    self.lost.insert(cpu, lost);
                }
            }
        }
        match self.sleep(id) {
            Some(from) => Switched::Immediately(from),
            None if target.is_none() => Switched::Lost,
            None => Switched::Asleep,
        }
    }

    /// `id` created a runner that has its CPU's baton now, and sleeps. Gives the task that already switched back to
    /// it, if one did: then it does not sleep.
    pub(super) fn sleep(&mut self, id: RunnerId) -> Option<u64> {
        let runner = self.all.get_mut(id)?;
        if let Some(from) = runner.early_baton.take() {
            return Some(from);
        }
        runner.state = RunnerState::SwitchedOut;
        self.runnable.remove(&id);
        if runner.doomed {
            self.forget(id);
        }
        None
    }

    /// The task is dead. Its runner is destroyed now if it is switched out, else at its next switch away: it may be
    /// the caller, or still be on its way to its last switch on another CPU. False where the task has no runner.
    pub(super) fn release(&mut self, task: TaskId) -> bool {
        let Some(id) = self.by_task.remove(&task) else { return false };
        match self.all.get_mut(id) {
            Some(runner) if runner.state != RunnerState::SwitchedOut => runner.doomed = true,
            _ => _ = self.forget(id),
        }
        true
    }

    /// Takes a runner out of everything for good; it stays to be looked at.
    pub(super) fn stop(&mut self, id: RunnerId) {
        self.leave_queue(id);
        self.cancel_timer(id);
        self.runnable.remove(&id);
        if let Some(runner) = self.all.get_mut(id) {
            runner.state = RunnerState::Stopped;
        }
    }

    /// Forgets a runner, whatever it was doing; the executor drops its fiber. If it holds its CPU, that has nobody from
    /// now on.
    pub(super) fn destroy(&mut self, id: RunnerId, now: GuestTime) {
        let holds = self.all.get(id).map(|runner| runner.cpu).filter(|cpu| self.holders.get(cpu) == Some(&id));
        let gone = self.forget(id);
        if let (Some(cpu), Some(Runner { task, comm, .. })) = (holds, gone) {
            self.lost.insert(cpu, Lost { runner: id, task, comm, at: now, to: None });
        }
    }

    fn forget(&mut self, id: RunnerId) -> Option<Runner> {
        self.stop(id);
        let runner = self.all.remove(id)?;
        if self.by_task.get(&runner.task) == Some(&id) {
            self.by_task.remove(&runner.task);
        }
        if self.holders.get(&runner.cpu) == Some(&id) {
            self.holders.remove(&runner.cpu);
        }
        self.graveyard.push(id);
        Some(runner)
    }

    /// Runners destroyed since the last call.
    pub(super) fn bury(&mut self) -> Vec<RunnerId> {
        std::mem::take(&mut self.graveyard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: GuestTime = GuestTime(0);

    fn pair() -> (Runners, RunnerId, RunnerId) {
        let mut runners = Runners::default();
        let (a, _) = runners.create(TaskId(100), "a".into(), Cpu(0), true, T0);
        let (b, _) = runners.create(TaskId(200), "b".into(), Cpu(0), false, T0);
        assert_eq!(runners.sleep(a), None);
        (runners, a, b)
    }

    #[test]
    fn the_baton_goes_back_and_forth() {
        let (mut runners, a, b) = pair();
        assert_eq!(runners.holder(Cpu(0)), Some(b));
        assert_eq!(runners.switch(b, 200, TaskId(100), T0), Switched::Asleep);
        assert_eq!(runners.take_wake(a), Some(Wake::Baton(200)));
        assert_eq!(runners.holder(Cpu(0)), Some(a));
        assert_eq!(runners.runnable().iter().collect::<Vec<_>>(), [&a]);
    }

    #[test]
    fn a_baton_that_comes_early_is_not_lost() {
        let (mut runners, a, _) = pair();
        let (c, _) = runners.create(TaskId(300), "c".into(), Cpu(1), false, T0);
        // c hands b the baton of cpu1 while b still runs on cpu0.
        assert_eq!(runners.switch(c, 300, TaskId(200), T0), Switched::Asleep);
        let b = RunnerId(1);
        assert_eq!(runners.switch(b, 200, TaskId(100), T0), Switched::Immediately(300));
        assert!(runners.runnable().contains(&a) && runners.runnable().contains(&b));
    }

    #[test]
    fn a_task_that_releases_itself_lives_until_it_switches_away() {
        let (mut runners, a, b) = pair();
        assert!(runners.release(TaskId(200)));
        assert!(runners.runnable().contains(&b), "it still has code to run");
        // Its address may be a new task's at once.
        let (c, old) = runners.create(TaskId(200), "c".into(), Cpu(5), false, T0);
        assert_eq!(old, None);
        assert_eq!(runners.switch(b, 200, TaskId(100), T0), Switched::Asleep);
        assert_eq!(runners.bury(), [b]);
        assert_eq!(runners.take_wake(a), Some(Wake::Baton(200)));
        assert_eq!(runners.holder(Cpu(0)), Some(a));
        assert!(runners.release(TaskId(200)), "the new task is not confused with the old one");
        assert!(runners.get(c).is_some());
    }

    #[test]
    fn a_runner_that_is_destroyed_while_it_runs_takes_the_baton_along() {
        let (mut runners, _, b) = pair();
        assert_eq!(runners.lost().count(), 0);
        runners.destroy(b, GuestTime(9));
        let (cpu, lost) = runners.lost().next().unwrap();
        assert_eq!((cpu, lost.runner, lost.comm.as_str(), lost.at, lost.to), (Cpu(0), b, "b", GuestTime(9), None));
        assert_eq!(runners.holder(Cpu(0)), None);
        // Whoever comes to the CPU afterwards has it.
        runners.create(TaskId(300), "c".into(), Cpu(0), true, T0);
        assert_eq!(runners.lost().count(), 0);
    }

    #[test]
    fn a_zombie_that_is_switched_out_goes_at_once() {
        let (mut runners, a, b) = pair();
        assert_eq!(runners.switch(b, 200, TaskId(100), T0), Switched::Asleep);
        assert!(runners.release(TaskId(200)));
        assert_eq!(runners.bury(), [b]);
        assert_eq!(runners.holder(Cpu(0)), Some(a));
        assert_eq!(runners.switch(a, 100, TaskId(200), T0), Switched::Lost);
        assert_eq!(runners.holder(Cpu(0)), None);
        let lost: Vec<_> = runners.lost().map(|(cpu, lost)| (cpu, lost.runner, lost.to)).collect();
        assert_eq!(lost, [(Cpu(0), a, Some(TaskId(200)))]);
    }

    #[test]
    fn waits_end_by_notify_in_order_or_by_time() {
        let mut runners = Runners::default();
        let ids: Vec<_> =
            (0..4).map(|i| runners.create(TaskId(i), String::new(), Cpu(i as u32), false, T0).0).collect();
        for (i, &id) in ids.iter().enumerate() {
            let deadline = if i == 3 { GuestTime::NEVER } else { GuestTime(100 - i as u64) };
            runners.wait(id, 0x40, deadline);
        }
        assert_eq!(runners.next_deadline(), Some(GuestTime(98)));
        assert_eq!(runners.notify(0x44, 9, T0), 0);
        assert_eq!(runners.notify(0x40, 1, T0), 1);
        assert_eq!(runners.take_wake(ids[0]), Some(Wake::Notified));
        runners.expire(GuestTime(98));
        assert_eq!(runners.take_wake(ids[2]), Some(Wake::TimedOut));
        assert_eq!(runners.take_wake(ids[1]), None);
        assert_eq!(runners.notify(0x40, u32::MAX, T0), 2);
        assert_eq!(runners.next_deadline(), None);
    }
}
