//! What each detector sees in memory that is as the test makes it, and what it does not mind.

use wkdb_tracer::{GuestTime, RunnerId, RunnerState};

use super::super::landmarks::Waiters;
use super::super::{
    AreaMarks, Callee, Chain, Host, Kinds, Landmarks, LostBaton, MS, Occasion, Patrol, SECOND, Suspect,
};
use super::fake::{FIRST, Guest};
use super::marks::{linux, minik, shapes};
use crate::kernel::tests::shapes::{VERSIONS, kernel};

/// Both kernels with their names.
fn kernels() -> [(&'static str, &'static Landmarks); 2] {
    [("minik", minik()), ("linux", linux())]
}

/// A timer in CPU 0's first wheel.
fn add_timer(guest: &mut Guest, timer: u64, expires: u64, function: u64) {
    let wheels = guest.marks.wheels.clone().unwrap();
    let bucket = (expires & 63) % wheels.bucket_count;
    let head = wheels.bases + wheels.buckets + bucket * wheels.bucket_size;
    let entry = timer + wheels.entry;
    if wheels.bucket_size == 4 {
        guest.set(head, 4, entry);
        guest.set(entry + 4, 4, head);
    } else {
        guest.list(&[head, entry]);
    }
    guest.set(wheels.bases + wheels.map, 8, 1 << bucket);
    guest.put(timer, wheels.expires, expires);
    guest.put(timer, wheels.function, function);
}

/// A function that a timer may have.
fn good_function(guest: &Guest) -> u64 {
    let wheels = guest.marks.wheels.as_ref().unwrap();
    (1..10_000).find(|&place| wheels.callable.has(place)).unwrap()
}

#[test]
fn a_guest_in_which_nothing_is_wrong_is_left_alone() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let function = good_function(&guest);
        add_timer(&mut guest, 0x60_0000, FIRST + 1_000_000, function);
        guest.put(marks.wheels.as_ref().unwrap().bases, marks.wheels.as_ref().unwrap().clk, FIRST);
        assert_eq!(guest.found_in(20_000), [], "{name}");
    }
}

#[test]
fn a_wheel_whose_clock_is_far_ahead_stands_still() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let wheels = marks.wheels.as_ref().unwrap();
        guest.put(wheels.bases, wheels.clk, FIRST + 1_000_000);
        let found = guest.found_in(0);
        assert_eq!(found, [Suspect::WheelAhead { cpu: 0, base: 0, address: wheels.bases }], "{name}");
        // Once is enough.
        let mut patrol = Patrol::new(marks.clone(), Kinds::ALL);
        assert_eq!(guest.watched_for(&mut patrol, 5000, true).len(), 1);
        // A little ahead is where a wheel's clock is when it has just run.
        guest.put(wheels.bases, wheels.clk, FIRST + 1);
        assert_eq!(guest.found_in(1000), [], "{name}");
    }
}

#[test]
fn a_timer_that_is_due_while_its_cpu_sleeps_is_found_within_a_second() {
    for (name, marks) in kernels() {
        for ticking in [true, false] {
            let mut guest = Guest::new(marks);
            let function = good_function(&guest);
            add_timer(&mut guest, 0x60_0000, FIRST + 100, function);
            let mut patrol = Patrol::new(marks.clone(), Kinds::ALL);
            // Jiffies that stand still make no difference: the guest's own clock goes on.
            assert_eq!(guest.watched_for(&mut patrol, 1000, ticking), [], "{name}, before it is due");
            let found = guest.watched_for(&mut patrol, 750, ticking);
            assert!(
                matches!(found[..], [Suspect::TimerOverdue { cpu: 0, base: 0, timer: 0x60_0000, .. }]),
                "{name}, {ticking}: {found:?}"
            );
        }
    }
}

#[test]
fn a_timer_of_a_busy_cpu_is_late_and_that_of_a_lost_cpu_is_not_the_wheels_doing() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let function = good_function(&guest);
        add_timer(&mut guest, 0x60_0000, FIRST + 10, function);
        guest.seats[0].holds_cpu = false;
        let busy = guest.seat(0x71_0000, RunnerState::Runnable, true);
        assert_eq!(guest.found_in(3000), [], "{name}: busy");
        guest.seats.retain(|seat| seat.runner != busy);
        guest.lost = vec![LostBaton {
            cpu: 0,
            task: 0x71_0000,
            runner: busy,
            comm: "kworker/0:1".into(),
            at: GuestTime(7),
            to: None,
        }];
        let found = guest.found_in(3000);
        assert_eq!(found, [Suspect::Baton { cpu: 0, task: 0x71_0000, at: GuestTime(7) }], "{name}: lost");
    }
}

#[test]
fn pointers_that_cannot_be_called_are_found_before_they_are() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        add_timer(&mut guest, 0x60_0000, FIRST + 1_000_000, 0x6b6b_6b6b);
        let rcu = marks.rcu.as_ref().unwrap();
        let first = *rcu.heads.first().unwrap();
        guest.set(rcu.data + first, 4, 0x61_0000);
        guest.put(0x61_0000, rcu.function, 0xf0f0_f0f0);
        let pools = marks.pools.as_ref().unwrap();
        let pool = pools.of_cpus[0].0;
        guest.list(&[pool + pools.worklist, 0x62_0000 + pools.entry]);
        guest.put(0x62_0000, pools.data, 1);
        guest.list(&[pool + pools.workers]);
        let mut found = guest.found_in(0);
        found.sort();
        let bad = |what, object, pointer| Suspect::BadCallback { what, object, pointer, cpu: 0 };
        let expected = [
            bad(Callee::Timer, 0x60_0000, 0x6b6b_6b6b),
            bad(Callee::Work, 0x62_0000, 0),
            bad(Callee::Rcu, 0x61_0000, 0xf0f0_f0f0),
        ];
        assert_eq!(found, expected, "{name}");
    }
}

/// A pool of CPU 0 with a worker.
fn add_worker(guest: &mut Guest) -> (u64, u64) {
    let pools = guest.marks.pools.clone().unwrap();
    let (pool, worker) = (pools.of_cpus[0].0, 0x63_0000);
    guest.list(&[pool + pools.worklist]);
    guest.list(&[pool + pools.workers, worker + pools.node]);
    guest.put(worker, pools.pool, pool);
    guest.put(worker, pools.task, 0x71_0000);
    (pool, worker)
}

#[test]
fn a_worker_must_be_one_of_its_pool() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let (pool, worker) = add_worker(&mut guest);
        let pools = marks.pools.as_ref().unwrap();
        assert_eq!(guest.found_in(0), [], "{name}");
        guest.put(worker, pools.pool, 0xffff_ffff);
        let found = guest.found_in(0);
        let expected = Suspect::WrongPool { worker, found: 0xffff_ffff, pool: Some(pool), task: 0x71_0000 };
        assert_eq!(found, [expected], "{name}");
        // While somebody holds the mutex they may be in the middle of something.
        guest.set(pools.attach_owner.unwrap(), 4, 0x71_0000);
        assert_eq!(guest.found_in(5000), [], "{name}");
    }
}

#[test]
fn a_worklist_must_close_unless_somebody_changes_it() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let (pool, _) = add_worker(&mut guest);
        let pools = marks.pools.as_ref().unwrap();
        let head = pool + pools.worklist;
        guest.set(head, 4, 0x7261_7473);
        let expected = Suspect::BrokenChain { what: Chain::Worklist, of: pool, at: head, next: 0x7261_7473 };
        assert_eq!(guest.found_in(0), [expected], "{name}");
        guest.put(pool, pools.lock, 1);
        assert_eq!(guest.found_in(0), [], "{name}");
        // One that traps with the lock in hand changes nothing any more.
        let runner = guest.seat(0x71_0000, RunnerState::Runnable, false);
        let found = Patrol::new(marks.clone(), Kinds::ALL).look(&mut guest, Occasion::Trap(runner));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn work_that_nobody_does_is_told_after_a_while() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let (pool, _) = add_worker(&mut guest);
        let pools = marks.pools.as_ref().unwrap();
        guest.list(&[pool + pools.worklist, 0x62_0000 + pools.entry]);
        guest.put(0x62_0000, pools.data, 1);
        let function = good_function(&guest);
        guest.put(0x62_0000, pools.function, function);
        let mut patrol = Patrol::new(marks.clone(), Kinds::ALL);
        assert_eq!(guest.watched_for(&mut patrol, 9000, true), [], "{name}");
        let found = guest.watched_for(&mut patrol, 1000, true);
        assert_eq!(found, [Suspect::WorkWaits { pool, work: 0x62_0000, progress: 0 }], "{name}");
    }
}

#[test]
fn a_cpu_that_sleeps_with_tasks_or_interrupts_waiting_has_lost_a_wakeup() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let queues = marks.run_queues.as_ref().unwrap();
        guest.put(queues.queues, queues.nr_running, 1);
        assert_eq!(guest.found_in(1000), [Suspect::IdleWithTasks { cpu: 0, switches: 0 }], "{name}");
        guest.put(queues.queues, queues.nr_running, 0);
        guest.set(marks.raised_irqs.unwrap(), 4, 2);
        assert_eq!(guest.found_in(1000), [Suspect::IdleWithInterrupts { cpu: 0, word: 2 }], "{name}");
    }
}

#[test]
fn cpus_that_all_try_to_get_a_spin_lock_are_locked_up() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        guest.seats.clear();
        let lock = marks.spinning[0];
        for task in [0x71_0000, 0x72_0000] {
            let runner = guest.seat(task, RunnerState::Runnable, true);
            guest.stacks.insert(runner, vec![lock, 1, 2]);
        }
        guest.seats[1].cpu = 1;
        let found = guest.found_in(2000);
        assert_eq!(found.len(), 2, "{name}: {found:?}");
        assert!(
            found.iter().all(|suspect| matches!(suspect, Suspect::Spins { lock: true, alone: true, .. })),
            "{name}"
        );
        // Where another CPU runs, it may be the one that will let go.
        guest.now = 0;
        guest.stacks.insert(RunnerId(1), vec![4, 1, 2]);
        assert_eq!(guest.found_in(4000), [], "{name}");
    }
}

/// A task that sleeps, with its stack.
fn add_sleeper(guest: &mut Guest, task: u64, stack: u64) -> RunnerId {
    let tasks = guest.marks.tasks.clone().unwrap();
    guest.put(task, tasks.state, 2);
    guest.put(task, tasks.stack, stack);
    guest.seat(task, RunnerState::SwitchedOut, false)
}

#[test]
fn a_sleeper_that_nothing_knows_of_has_lost_its_wakeup() {
    for (name, marks) in kernels() {
        // Both kernels have stacks of at least so much, and minik's has the task on top.
        let (stack, task) = (0x74_0000, 0x74_1f00);
        let mut guest = Guest::new(marks);
        let runner = add_sleeper(&mut guest, task, stack);
        let since = GuestTime(0);
        let mut patrol = Patrol::new(marks.clone(), Kinds::ALL);
        assert_eq!(guest.watched_for(&mut patrol, 4000, true), [], "{name}");
        assert_eq!(guest.watched_for(&mut patrol, 2000, true), [Suspect::NoWaker { task, runner, since }], "{name}");

        // On a list of those who wait.
        let mut waits = Guest::new(marks);
        add_sleeper(&mut waits, task, stack);
        waits.list(&[0x75_0000, stack + 0x100]);
        assert_eq!(waits.found_in(20_000), [], "{name}");
        // Or with a timer in a wheel.
        let mut timed = Guest::new(marks);
        add_sleeper(&mut timed, task, stack);
        timed.set(0x75_0000, 4, stack + 0x100);
        timed.set(stack + 0x104, 4, 0x75_0000);
        assert_eq!(timed.found_in(20_000), [], "{name}");
        // In other states somebody else may wake it, or it does not matter.
        for state in [1, 0x402, 0x102, 0x40] {
            let mut other = Guest::new(marks);
            add_sleeper(&mut other, task, stack);
            other.put(task, marks.tasks.as_ref().unwrap().state, state);
            assert_eq!(other.found_in(20_000), [], "{name}, {state:#x}");
        }
    }
}

#[test]
fn tasks_that_wait_for_each_others_locks_are_a_cycle() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let (one, two) = ((0x74_1f00, 0x74_0000), (0x76_1f00, 0x76_0000));
        for (task, stack) in [one, two] {
            add_sleeper(&mut guest, task, stack);
        }
        let mutex = marks.locks.iter().find(|lock| lock.name == "struct mutex").unwrap();
        for (lock, owner, waiter) in [(0x75_0000, one.0, two.1), (0x75_1000, two.0, one.1)] {
            guest.put(lock, mutex.owner, owner | 1);
            let Waiters::Head(head) = mutex.waiters else { panic!("{mutex:?}") };
            guest.list(&[lock + head, waiter + 0x200]);
        }
        assert_eq!(guest.found_in(2000), [Suspect::LockCycle { tasks: vec![one.0, two.0] }], "{name}");
        // One that runs may yet let go.
        guest.now = 0;
        guest.seats.last_mut().unwrap().state = RunnerState::Runnable;
        assert_eq!(guest.found_in(3000), [], "{name}");
    }
}

#[test]
fn detectors_find_what_they_look_at_in_the_shapes_of_all_versions() {
    for version in VERSIONS {
        let (symbols, memory) = kernel(version);
        let marks = shapes(version);
        let place = |name: &str| symbols.data_symbol(name).unwrap().address;
        let found_in = |change: &dyn Fn(&mut Guest)| {
            let mut guest = Guest::new(&marks);
            guest.load(&memory);
            guest.now = 4 * SECOND;
            guest.seats[0].state = RunnerState::Runnable;
            change(&mut guest);
            let mut patrol = Patrol::new(marks.clone(), Kinds::ALL);
            guest.watched_for(&mut patrol, 1000, false)
        };
        assert_eq!(found_in(&|_| {}), [], "{version}: nothing is wrong");
        let (pools, wheels, rcu) =
            (marks.pools.as_ref().unwrap(), marks.wheels.as_ref().unwrap(), marks.rcu.as_ref().unwrap());
        let (worker, pool) = (place("busy_worker"), place("cpu_worker_pools"));
        let task = place("busy_task");
        let found = found_in(&|guest| guest.put(worker, pools.pool, 0x1000));
        assert_eq!(found, [Suspect::WrongPool { worker, found: 0x1000, pool: Some(pool), task }], "{version}");
        let work = place("waiting_work");
        let found = found_in(&|guest| guest.put(work, pools.data, 0));
        assert_eq!(found, [Suspect::NotPending { pool, work }], "{version}");
        let callbacks = [
            (work, pools.function, Callee::Work),
            (place("sleeper_timer"), wheels.function, Callee::Timer),
            (place("callbacks"), rcu.function, Callee::Rcu),
        ];
        for (object, at, what) in callbacks {
            let found = found_in(&|guest| guest.put(object, at, 0x7fff));
            assert_eq!(found, [Suspect::BadCallback { what, object, pointer: 0x7fff, cpu: 0 }], "{version}");
        }
        let base = place("timer_bases");
        let found = found_in(&|guest| guest.put(base, wheels.clk, 4_294_937_696 + 5000));
        assert_eq!(found, [Suspect::WheelAhead { cpu: 0, base: 0, address: base }], "{version}");

        let areas = AreaMarks::of(&symbols).unwrap();
        let mut guest = Guest::new(&marks);
        guest.load(&memory);
        let writable = areas.writable(place("sh_mm"), &|address, size| guest.number(address, size));
        assert_eq!(writable, [0x41_0000..0x42_0000, 0x7f_0000..0x80_0000, 0x90_0000..0x91_0000], "{version}");
    }
}

/// From 7.1 on a lock has no head of a list, only a pointer to the first of those who wait.
#[test]
fn locks_whose_waiters_are_a_ring_are_known_too() {
    let marks = &shapes("7.3");
    let tasks = marks.tasks.as_ref().unwrap();
    let (one, two) = ((0x74_0800, 0x74_0000), (0x76_0800, 0x76_0000));
    for (name, kind) in [("struct mutex", 0), ("struct rw_semaphore", 3)] {
        let lock = marks.locks.iter().find(|lock| lock.name == name).unwrap();
        let Waiters::First(first) = lock.waiters else { panic!("{lock:?}") };
        // Those who wait for it, each alone; one says for what, the other has the lock's address on its stack.
        let mut guest = Guest::new(marks);
        let entries = [one, two].map(|(task, stack)| {
            add_sleeper(&mut guest, task, stack);
            guest.list(&[stack + 0x100]);
            guest.set(stack + 0x108, 4, task);
            stack + 0x100
        });
        assert_eq!(guest.found_in(20_000), [], "{name}: who waits alone is expected");
        guest.now = 0;
        for (address, owner, entry) in [(0x75_0000, one.0, entries[1]), (0x75_1000, two.0, entries[0])] {
            guest.put(address, lock.owner, owner | kind);
            guest.put(address, first, entry);
        }
        guest.put(one.0, tasks.blocked_on[0], 0x75_1000);
        guest.set(two.1 + 0x180, 4, 0x75_0000);
        assert_eq!(guest.found_in(2000), [Suspect::LockCycle { tasks: vec![one.0, two.0] }], "{name}");
        // A third one in the ring, before the one that was there.
        let third = (0x78_0800, 0x78_0000);
        guest.now = 0;
        add_sleeper(&mut guest, third.0, third.1);
        guest.list(&[third.1 + 0x100, entries[1]]);
        guest.put(0x75_0000, first, third.1 + 0x100);
        assert_eq!(guest.found_in(2000), [Suspect::LockCycle { tasks: vec![one.0, two.0] }], "{name}");
        // Without a lock nobody knows of them.
        let mut lost = Guest::new(marks);
        let runner = add_sleeper(&mut lost, one.0, one.1);
        lost.list(&[one.1 + 0x100]);
        let since = GuestTime(0);
        assert_eq!(lost.found_in(6000), [Suspect::NoWaker { task: one.0, runner, since }], "{name}");
    }
}

#[test]
fn a_grace_period_that_does_not_end_is_told_after_ten_seconds() {
    for (name, marks) in kernels() {
        let mut guest = Guest::new(marks);
        let rcu = marks.rcu.as_ref().unwrap();
        let (address, size) = rcu.gp_seq.unwrap();
        let seq = if rcu.gp_bits { 9 } else { 8 };
        guest.set(address, size, seq);
        if !rcu.gp_bits {
            guest.put(rcu.data, rcu.pending.unwrap(), 1);
        }
        assert_eq!(guest.found_in(11_000), [Suspect::GracePeriod { seq }], "{name}");
        assert_eq!(guest.now / SECOND, 11, "{}", guest.now / MS);
    }
}
