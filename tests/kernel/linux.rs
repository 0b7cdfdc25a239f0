//! The views of Linux against its own /proc.

use std::collections::BTreeMap;

use wkdb_debugger::kernel::{CpusView, DmesgView, View, ViewKind};

use crate::seen::{Guest, Seen, only, typed};

const COMMANDS: &[&str] = &[
    "sleep 500 &",
    "sleep 600 &",
    "sleep 3",
    "dmesg",
    "cat /proc/softirqs",
    "cat /proc/timer_list",
    "cat /proc/stat",
    "cat /proc/uptime",
    "ls /proc/1/fd",
    "cat /proc/1/maps",
    "ps",
];

fn seen() -> Seen {
    Seen::after(Guest::Linux, "nr_cpus=4", &typed("\\n# ", COMMANDS), 0)
}

#[test]
fn views_of_linux_agree_with_its_proc() {
    let mut seen = seen();
    tasks(&mut seen);
    timers(&mut seen);
    let cpus = only!(seen.view(ViewKind::Cpus), Cpus);
    let stat = seen.printed("cat /proc/stat");
    let ctxt: u64 = stat.lines().find_map(|line| line.strip_prefix("ctxt ")).unwrap().parse().unwrap();
    let switches: u64 = cpus.cpus.iter().map(|cpu| cpu.nr_switches.unwrap()).sum();
    assert!((ctxt..ctxt + 300).contains(&switches), "{switches} switches, and {ctxt} before");
    assert!(cpus.cpus.iter().all(|cpu| cpu.need_resched.is_some() && cpu.nr_running.is_some()), "{cpus:?}");
    assert_eq!(cpus.problems, [""; 0]);
    interrupts(&seen, &cpus);

    // The guest's clock begins a little after the machine's.
    let uptime: f64 = seen.printed("cat /proc/uptime").split(' ').next().unwrap().parse().unwrap();
    let now = cpus.now.time_ns.unwrap() as f64 / 1e9;
    assert!(uptime > 2.9 && (0.0..0.2).contains(&(now - uptime)), "{uptime} s, and now {now}");

    let maps = seen.printed("cat /proc/1/maps").to_owned();
    let View::Maps { tasks } = seen.view_of(ViewKind::Maps, Some(1)) else { panic!() };
    let found: Vec<String> = (tasks[0].maps.iter())
        .map(|map| {
            let nameless = if map.what.contains(&"stack") { "[stack]" } else { "-" };
            let (access, name) = (map.access.as_deref().unwrap(), map.file.as_deref().unwrap_or(nameless));
            format!("{:08x}-{:08x} {access} {name}", map.start, map.end)
        })
        .collect();
    // Range, access, offset, device, inode, and the name if there is one.
    let said = maps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let said: Vec<String> =
        said.map(|words| format!("{} {} {}", words[0], words[1], words.get(5).unwrap_or(&"-"))).collect();
    assert_eq!(found, said);
    assert!(found.iter().any(|area| area.ends_with(" [stack]")), "{found:?}");
    assert_eq!(tasks[0].maps[0].file.as_deref(), Some("/bin/box"), "{maps}");
    assert_eq!(tasks[0].problems, [""; 0]);

    let fds: Vec<u64> = seen.printed("ls /proc/1/fd").lines().map(|fd| fd.parse().unwrap()).collect();
    let View::Fds { tasks } = seen.view_of(ViewKind::Fds, Some(1)) else { panic!() };
    assert_eq!(tasks[0].fds.iter().map(|row| row.fd).collect::<Vec<_>>(), fds);
    assert!(tasks[0].fds.iter().all(|row| row.path.as_deref() == Some("/dev/console")), "{tasks:?}");

    let log = only!(seen.view(ViewKind::Dmesg), Dmesg);
    let mut on_console = 0;
    for line in seen.console.lines().filter(|line| line.starts_with("[    0.")) {
        let (time, text) = line[1..].split_once("] ").unwrap();
        let micros: u64 = time.trim().replace('.', "").parse().unwrap();
        let is_it = |known: &&wkdb_debugger::kernel::LogLine| {
            known.text.starts_with(text) && known.time_ns.is_some_and(|ns| ns / 1000 == micros)
        };
        assert!(log.lines.iter().any(|known| is_it(&known)), "{line}");
        on_console += 1;
    }
    assert!(on_console > 20 && log.lines.len() > on_console, "{on_console} of {}", log.lines.len());
    assert_eq!(log.problems, [""; 0]);
    records(&seen, &log);
}

/// Every record of the log as `dmesg` prints it, level, time and text: what the kernel itself takes out of its ring.
fn records(seen: &Seen, log: &DmesgView) {
    let said: Vec<&str> = seen.printed("dmesg").lines().collect();
    let mut found = Vec::new();
    for record in &log.lines {
        let micros = record.time_ns.unwrap() / 1000;
        let (level, time) = (record.level.unwrap(), format!("{:5}.{:06}", micros / 1_000_000, micros % 1_000_000));
        found.extend(record.text.split('\n').map(|text| format!("<{level}>[{time}] {text}")));
    }
    assert!(said.len() > 50 && found.len() >= said.len(), "{} of {}", found.len(), said.len());
    for (found, said) in found.iter().zip(&said) {
        // Above the level is who has written it: 0 for the kernel itself.
        let (priority, rest) = said[1..].split_once('>').unwrap();
        assert_eq!(found, &format!("<{}>{rest}", priority.parse::<u32>().unwrap() & 7));
    }
    let numbers: Vec<u64> = log.lines.iter().map(|record| record.seq.unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a + 1 == *b), "{numbers:?}");
}

/// The counts of /proc/softirqs, and those of /proc/stat for interrupts of devices, of which this guest has none.
fn interrupts(seen: &Seen, cpus: &CpusView) {
    let text = seen.printed("cat /proc/softirqs");
    let mut sums = vec![0; cpus.cpus.len()];
    for line in text.lines().skip(1) {
        let counts = line.split_once(':').unwrap().1.split_whitespace();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.parse::<u64>().unwrap());
    }
    assert!(sums.iter().sum::<u64>() > 100, "{text}");
    for (cpu, before) in cpus.cpus.iter().zip(sums) {
        let since = cpu.nr_softirqs.unwrap().checked_sub(before);
        assert!(since.is_some_and(|since| since < 500), "{before} before, {cpu:?}");
    }
    let stat = seen.printed("cat /proc/stat");
    let intr = stat.lines().find_map(|line| line.strip_prefix("intr ")).unwrap();
    let intr: u64 = intr.split(' ').next().unwrap().parse().unwrap();
    let irqs: u64 = cpus.cpus.iter().map(|cpu| cpu.nr_irqs.unwrap()).sum();
    assert!((intr..intr + 100).contains(&irqs), "{irqs} interrupts, and {intr} before");
}

/// What `ps` says, and what the view does.
fn tasks(seen: &mut Seen) {
    let view = only!(seen.view(ViewKind::Tasks), Tasks);
    assert_eq!(view.problems, [""; 0]);
    let tasks: BTreeMap<i64, _> = view.tasks.iter().filter_map(|row| Some((row.task.pid?, row))).collect();
    let mut matched = 0;
    for line in seen.printed("ps").lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (pid, name): (i64, &str) = (words[0].parse().unwrap(), words[3]);
        if name == "ps" {
            continue;
        }
        let row = tasks.get(&pid).unwrap_or_else(|| panic!("{line} is not in the view"));
        assert!(name.starts_with(row.task.comm.as_deref().unwrap()), "{line}: {row:?}");
        assert_eq!(row.parent, Some(words[2].parse().unwrap()), "{line}");
        // What runs while `ps` does may wait by now.
        let state = row.state.unwrap().to_string();
        assert!(state == words[1] || words[1] == "R", "{line}: {row:?}");
        assert!(row.listed && row.waits_in.is_some(), "{row:?}");
        matched += 1;
    }
    assert!(matched > 40, "{matched}");
    let listed = view.tasks.iter().filter(|row| row.listed).count();
    assert!((matched..matched + 3).contains(&listed), "{listed} tasks, {matched} in ps");
    let named = |name: &str| tasks.values().find(|row| row.task.comm.as_deref() == Some(name)).copied();
    assert_eq!(named("khvcd").unwrap().waits_in.as_deref(), Some("khvcd"));
    assert_eq!(named("init").unwrap().waits_in.as_deref(), Some("do_wait"));
    let sh = named("sh").unwrap();
    assert!(sh.kernel_thread == Some(false) && sh.stack.unwrap().used.unwrap() > 100, "{sh:?}");
}

/// The timers that /proc/timer_list told of and that are not due yet, and those that the view does.
fn timers(seen: &mut Seen) {
    let view = only!(seen.view(ViewKind::Timers), Timers);
    assert_eq!(view.problems, [""; 0]);
    assert_eq!(view.bases.len(), 4 * 3, "three wheels for each CPU");
    let functions: Vec<String> = (view.bases.iter().flat_map(|base| &base.timers))
        .map(|timer| format!("{} {}", timer.function.as_deref().unwrap(), timer.of.as_deref().unwrap_or("")))
        .collect();
    assert!(functions.iter().any(|text| text.starts_with("process_timeout khvcd/")), "{functions:?}");
    assert!(functions.iter().any(|text| text == "delayed_work_timer_fn vmstat_shepherd"), "{functions:?}");

    let text = seen.printed("cat /proc/timer_list").to_owned();
    let told = text.lines().find_map(|line| line.strip_prefix("now at ")).unwrap();
    let told: i64 = told.split(' ').next().unwrap().parse().unwrap();
    let jiffies: u64 = text.lines().find_map(|line| line.strip_prefix("jiffies: ")).unwrap().parse().unwrap();
    assert!((0..100).contains(&(view.now.jiffies.unwrap() as i64 - jiffies as i64)), "{jiffies} {:?}", view.now);
    let (mut cpu, mut clock, mut function, mut said) = (0, 0, String::new(), Vec::new());
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("cpu: ") {
            cpu = number.parse().unwrap();
        } else if let Some(number) = line.strip_prefix(" clock ") {
            clock = number.trim_end_matches(':').parse().unwrap();
        } else if let Some((_, timer)) = line.split_once(">, ") {
            let place = u64::from_str_radix(timer[2..].split(',').next().unwrap(), 16).unwrap();
            function = seen.symbols.function_name(seen.symbols.table_function(place).unwrap());
        } else if let Some(expires) = line.strip_prefix(" # expires at ") {
            let expires: i64 = expires.split(['-', ' ']).nth(1).unwrap().parse().unwrap();
            // Those of sleepers stay as they are; the scheduler sets its own anew all the time.
            if expires > told + 10_000_000_000 && function == "hrtimer_wakeup" {
                said.push((cpu, clock, expires));
            }
        }
    }
    let mut found = Vec::new();
    for base in &view.hrtimers {
        for timer in base.timers.iter().filter(|timer| timer.expires_ns > Some(told + 10_000_000_000)) {
            if timer.function.as_deref() == Some("hrtimer_wakeup") {
                assert!(timer.of.as_deref().unwrap().starts_with("sleep/"), "{timer:?}");
                found.push((base.cpu, base.index, timer.expires_ns.unwrap()));
            }
        }
        let expires: Vec<_> = base.timers.iter().map(|timer| timer.expires_ns).collect();
        assert!(expires.is_sorted(), "{base:?}");
    }
    said.sort_unstable();
    found.sort_unstable();
    assert!(said.len() == 2 && found == said, "{said:?} {found:?}");
}

#[test]
fn workers_pools_and_queues_of_linux_are_all_there() {
    let mut seen = seen();
    let view = only!(seen.view(ViewKind::Workqueues), Workqueues);
    assert_eq!(view.problems, [""; 0]);
    let tasks = only!(seen.view(ViewKind::Tasks), Tasks);
    // Every kworker of a pool, and no other task, is a worker's. Those that rescue belong to queues.
    let names = |name: &str| name.starts_with("kworker/") && !name.starts_with("kworker/R");
    let mut workers: Vec<String> =
        (tasks.tasks.iter().filter_map(|row| row.task.comm.clone())).filter(|n| names(n)).collect();
    let mut found: Vec<String> =
        view.pools.iter().flat_map(|pool| &pool.workers).filter_map(|worker| worker.task.clone()?.comm).collect();
    workers.sort();
    found.sort();
    assert_eq!(found, workers);
    for pool in &view.pools {
        assert_eq!(pool.workers.len() as i64, pool.nr_workers.unwrap(), "{pool:?}");
    }
    let queues: Vec<&str> = view.queues.iter().filter_map(|queue| queue.name.as_deref()).collect();
    assert!(["events", "events_unbound", "rcu_gp", "writeback"].iter().all(|name| queues.contains(name)), "{queues:?}");
    let rcu = only!(seen.view(ViewKind::Rcu), Rcu);
    assert_eq!((rcu.name.as_deref(), rcu.problems), (Some("rcu_sched"), vec![]));
    assert_eq!(rcu.cpus.len(), 4);
    assert!(rcu.cpus[0].invoked > Some(100) && rcu.gp_thread.unwrap().comm.as_deref() == Some("rcu_sched"));
}

#[test]
fn addresses_in_linux_belong_to_slabs_stacks_cpus_and_programs() {
    let mut seen = seen();
    let tasks = only!(seen.view(ViewKind::Tasks), Tasks);
    let shell = tasks.tasks.iter().find(|row| row.task.comm.as_deref() == Some("sh")).unwrap().clone();
    let pid = shell.task.pid.map(i64::cast_unsigned);
    let View::Fds { tasks: files } = seen.view_of(ViewKind::Fds, pid) else { panic!() };
    let View::Maps { tasks: maps } = seen.view_of(ViewKind::Maps, pid) else { panic!() };
    let timers = only!(seen.view(ViewKind::Timers), Timers);
    let jiffies = seen.symbols.data_symbol("jiffies_64").unwrap().address;
    let mut text = |address: u64| seen.view_of(ViewKind::Address, Some(address)).text().to_string();
    let task = text(shell.task.address + 100);
    assert!(task.contains("task_struct of sh/") && task.contains("an object of the slab cache task_struct"), "{task}");
    let file = text(files[0].fds[0].address + 4);
    assert!(file.contains("an object of the slab cache filp"), "{file}");
    let stack = text(shell.stack.unwrap().pointer.unwrap());
    assert!(stack.contains("kernel stack of sh/") && stack.contains("in use"), "{stack}");
    let base = text(timers.bases[4].address + 8);
    assert!(base.contains("cpu1's timer_bases+"), "{base}");
    let program = text(maps[0].maps[0].start + 8);
    assert!(program.contains("user memory of sh/") && program.contains("from /bin/box"), "{program}");
    let variable = text(jiffies);
    assert!(variable.contains("variable jiffies_64"), "{variable}");
}
