//! minik's views against its own /proc.

use std::collections::BTreeMap;

use wkdb_debugger::kernel::{View, ViewKind};

use crate::seen::{Guest, Seen, only, typed};

fn seen(guest: Guest) -> Seen {
    let files = ["tasks", "timers", "workqueues", "rcu", "interrupts"];
    let lines: Vec<String> = files.iter().map(|file| format!("cat /proc/{file}")).collect();
    let lines: Vec<&str> = std::iter::once("sleep 3").chain(lines.iter().map(String::as_str)).collect();
    Seen::after(guest, "", &typed("minik# ", &lines), 1)
}

/// The numbers of a line of text, with their signs.
fn numbers(line: &str) -> Vec<i64> {
    line.split(|c: char| !c.is_ascii_digit() && c != '-').filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn views_of_minik_agree_with_its_proc_in_both_eras() {
    for guest in [Guest::Minik6_4, Guest::Minik7_0] {
        let mut seen = seen(guest);
        let tasks = only!(seen.view(ViewKind::Tasks), Tasks);
        let mut said: BTreeMap<i64, String> = BTreeMap::new();
        for line in seen.printed("cat /proc/tasks").lines().skip(1) {
            // pid, parent, group, CPU, state, name; behind a worker's name, what it is about.
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = words[5].split(['-', '+']).next().unwrap();
            said.insert(words[0].parse().unwrap(), format!("{} {} {} {name}", words[1], words[3], words[4]));
        }
        let rows = tasks.tasks.iter().filter(|row| row.task.pid != Some(0));
        let found: BTreeMap<i64, String> = rows
            .map(|row| {
                let (parent, cpu, comm) = (row.parent.unwrap(), row.cpu.unwrap(), row.task.comm.as_deref().unwrap());
                (row.task.pid.unwrap(), format!("{parent} {cpu} {} {comm}", row.state.unwrap()))
            })
            .collect();
        // The shell's child that told this is gone by now, and it took the console's thread to hear of it.
        assert_eq!(said.len(), found.len() + 1, "{said:?} {found:?}");
        for (pid, row) in &found {
            let said = said.get(pid).unwrap_or_else(|| panic!("{pid} {row} is not in /proc"));
            assert_eq!(row, &said.replace(" R khvcd", " S khvcd"), "{pid}");
        }
        assert!(tasks.problems.is_empty(), "{:?}", tasks.problems);

        let timers = only!(seen.view(ViewKind::Timers), Timers);
        let said: Vec<Vec<i64>> = seen.printed("cat /proc/timers").lines().map(numbers).collect();
        assert_eq!(timers.bases.len(), said.len());
        for (base, said) in timers.bases.iter().zip(said) {
            let [cpu, jiffies, clk, next, pending] = said[..] else { panic!("{said:?}") };
            assert_eq!(i64::from(base.cpu), cpu);
            assert!((0..100).contains(&(timers.now.jiffies.unwrap() as u32 as i64 - jiffies)), "{jiffies}");
            assert!((0..1000).contains(&(base.clk.unwrap() as i64 - clk)), "{base:?} {said:?}");
            assert!((base.next_expiry.unwrap() as i64 - next).abs() < 3000, "{base:?} {said:?}");
            assert_eq!(base.timers_pending, Some(pending != 0));
            assert_eq!(!base.timers.is_empty(), pending != 0, "{base:?}");
            assert_eq!(base.overdue, 0, "{base:?}");
        }
        let functions: Vec<&str> =
            timers.bases.iter().flat_map(|base| &base.timers).filter_map(|timer| timer.function.as_deref()).collect();
        assert!(functions.contains(&"delayed_work_timer_fn"), "{functions:?}");
        assert!(timers.problems.is_empty(), "{:?}", timers.problems);

        let queues = only!(seen.view(ViewKind::Workqueues), Workqueues);
        let said: Vec<Vec<i64>> = seen.printed("cat /proc/workqueues").lines().map(numbers).collect();
        let found: Vec<Vec<i64>> = (queues.pools.iter())
            .map(|pool| [pool.id, pool.cpu.map(i64::from), pool.nr_workers, pool.nr_idle, pool.nr_running])
            .map(|row| row.map(Option::unwrap).to_vec())
            .collect();
        assert_eq!(found, said.iter().map(|said| said[..5].to_vec()).collect::<Vec<_>>());
        for pool in &queues.pools {
            assert_eq!(pool.workers.len() as i64, pool.nr_workers.unwrap(), "{pool:?}");
            assert!(pool.workers.iter().all(|worker| worker.flags.as_deref() == Some("idle")), "{pool:?}");
        }
        assert!(queues.problems.is_empty(), "{:?}", queues.problems);

        let rcu = only!(seen.view(ViewKind::Rcu), Rcu);
        let text = seen.printed("cat /proc/rcu");
        let periods = rcu.gp_seq.unwrap() as i64 - numbers(text.lines().next().unwrap())[0];
        assert!((0..20).contains(&periods), "{periods} grace periods since {text}");
        for (cpu, line) in rcu.cpus.iter().zip(text.lines().skip(1)) {
            let [number, next, wait, done, invoked] = numbers(line)[..] else { panic!("{line}") };
            assert_eq!(i64::from(cpu.cpu), number);
            // Closing files makes callbacks: those that waited have been run since.
            let since = cpu.invoked.unwrap() as i64 - invoked;
            assert!((next + wait + done..next + wait + done + 30).contains(&since), "{cpu:?} {line}");
            assert_eq!(cpu.lists.iter().map(|list| list.stage).collect::<Vec<_>>(), ["done", "wait", "next"]);
        }

        let cpus = only!(seen.view(ViewKind::Cpus), Cpus);
        let said = seen.printed("cat /proc/interrupts").lines().map(numbers);
        let mut timer_irqs = 0;
        for (cpu, said) in cpus.cpus.iter().zip(said) {
            let [number, ipis, timers, switches] = said[..] else { panic!("{said:?}") };
            assert_eq!(i64::from(cpu.cpu), number);
            let since = cpu.nr_switches.unwrap() as i64 - switches;
            assert!((0..60).contains(&since), "{cpu:?} {said:?}");
            let served = cpu.nr_irqs.unwrap() as i64 - ipis - timers;
            assert!((0..200).contains(&served), "{cpu:?} {said:?}");
            timer_irqs += timers;
            assert_eq!((cpu.online, cpu.raised_ipis, cpu.need_resched), (Some(true), Some(0), Some(false)));
        }
        assert!(timer_irqs > 0 && cpus.problems.is_empty(), "{timer_irqs} {:?}", cpus.problems);

        // The log is what came over the console.
        let log = only!(seen.view(ViewKind::Dmesg), Dmesg);
        assert!(log.lines.len() > 5);
        for line in &log.lines {
            assert!(seen.console.contains(&line.text), "{line:?}");
        }
    }
}

#[test]
fn files_memory_and_addresses_of_minik_are_whose_they_are() {
    let mut seen = seen(Guest::Minik7_0);
    let tasks = only!(seen.view(ViewKind::Tasks), Tasks);
    let named = |name: &str| {
        let row = tasks.tasks.iter().find(|row| row.task.comm.as_deref() == Some(name));
        row.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let shell = named("sh");
    let pid = shell.task.pid.map(i64::cast_unsigned);
    let View::Fds { tasks: files } = seen.view_of(ViewKind::Fds, pid) else { panic!() };
    let paths: Vec<&str> = files[0].fds.iter().filter_map(|row| row.path.as_deref()).collect();
    assert_eq!(paths, ["/dev/console"; 3], "{files:?}");
    let View::Maps { tasks: maps } = seen.view_of(ViewKind::Maps, pid) else { panic!() };
    let parts: Vec<_> = maps[0].maps.iter().flat_map(|row| row.what.clone()).collect();
    assert!(["image", "data", "heap", "stack"].iter().all(|part| parts.contains(part)), "{maps:?}");

    let worker = named("kworker/0:0");
    let stack = worker.stack.unwrap();
    assert_eq!(worker.waits_in.as_deref(), Some("worker_thread"));
    let mut text = |address: u64| seen.view_of(ViewKind::Address, Some(address)).text().to_string();
    assert!(text(worker.task.address + 8).contains("task_struct of kworker/0:0/"));
    assert!(text(stack.pointer.unwrap()).contains("kernel stack of kworker/0:0/"));
    assert!(text(stack.pointer.unwrap()).contains("in use"));
    assert!(text(stack.base).contains("below the stack pointer"));
    assert!(text(files[0].files.unwrap()).contains("an object of the slab cache kmalloc-128"));
    assert!(text(maps[0].maps.last().unwrap().start).contains("user memory of sh/"));
    assert!(text(16).contains("near null"));
    assert!(text(0xffff_fff0).contains("no memory"));
}

#[test]
fn views_of_64_cpus_and_600_tasks_leave_none_out() {
    let mut seen = Seen::after(Guest::Minik7_0, "nr_cpus=64 tasks=600 quiet", &typed("minik# ", &["sleep 1"]), 1);
    for (kind, name, _) in ViewKind::ALL {
        let of = (*kind == ViewKind::Address).then_some(0x1_8000);
        assert_eq!(seen.view_of(*kind, of).problems(), [""; 0], "{name}");
    }
    let tasks = only!(seen.view(ViewKind::Tasks), Tasks);
    assert!(tasks.tasks.len() > 700, "{}", tasks.tasks.len());
    assert!(
        tasks.tasks.iter().all(|row| row.waits_in.is_some()
            || [Some("runs"), Some("has not run yet")].contains(&row.host_state.as_deref()))
    );
    let cpus = only!(seen.view(ViewKind::Cpus), Cpus);
    assert_eq!(cpus.cpus.len(), 64);
}
