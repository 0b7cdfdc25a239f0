//! What is told about a stopped machine.

use super::sessions::Session;

/// In `touch_pool`, inlined into `process_one_work`, called by `worker_thread`.
fn in_touch_pool() -> Session {
    let mut session = Session::new();
    session.say("tbreak touch_pool");
    let said = session.say("c");
    assert!(said.contains("touch_pool (pool=0x10020 <worker_pools>) at workqueue.c:20 [inlined]"), "{said}");
    session
}

#[test]
fn frames_are_listed_and_selected() {
    in_touch_pool().check(
        "> bt
         #0  touch_pool (pool=0x10020 <worker_pools>) at workqueue.c:20 [inlined]
         #1  0x39 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:29
         #2  0x1a in worker_thread (which=0) at workqueue.c:42
         > bt 1
         #0  touch_pool (pool=0x10020 <worker_pools>) at workqueue.c:20 [inlined]
         (More frames follow: 2)
         > bt -1
         #2  0x1a in worker_thread (which=0) at workqueue.c:42
         > up
         #1  0x39 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:29
         29  touch_pool(pool);
         > info locals
         nr_calls = 0
         > up
         #2  0x1a in worker_thread (which=0) at workqueue.c:42
         42  process_one_work(&worker_pools[which]);
         > print which
         $1 = 0
         > up
         error: this is the outermost frame
         > frame 0
         #0  touch_pool (pool=0x10020 <worker_pools>) at workqueue.c:20 [inlined]
         20  pool->watchdog_ts = jiffies_64;
         > down
         error: this is the innermost frame
         > frame 9
         error: there is no frame 9
         > task kworker/1:0
         [Task 2 kworker/1:0 (0x2000) cpu1, runs]
         #0  0x12 in worker_thread (which=1) at workqueue.c:42
         42  process_one_work(&worker_pools[which]);
         > task 0x1000
         [Task 1 kworker/0:0 (0x1000) cpu0, runs]
         #0  touch_pool (pool=0x10020 <worker_pools>) at workqueue.c:20 [inlined]
         20  pool->watchdog_ts = jiffies_64;
         > task kworker
         error: there is no task kworker; did you mean kworker/0:0, kworker/1:0?
         > thread apply all bt
         
         Task 1 kworker/0:0 (0x1000) cpu0, runs:
         #0  touch_pool (pool=0x10020 <worker_pools>) at workqueue.c:20 [inlined]
         #1  0x39 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:29
         #2  0x1a in worker_thread (which=0) at workqueue.c:42
         
         Task 2 kworker/1:0 (0x2000) cpu1, runs:
         #0  0x12 in worker_thread (which=1) at workqueue.c:42",
    );
}

#[test]
fn expressions_are_printed_and_remembered() {
    in_touch_pool().check(
        "> print *pool
         $1 = {id = 1, nr_workers = 0, watchdog_ts = 0}
         > p/x worker_pools[2].id
         $2 = 0x3
         > p $2 + $
         $3 = 6
         > p &$1.nr_workers
         $4 = (u32 *) 0x10024 <worker_pools+4>
         > set var pool->nr_workers = 41
         > p pool->nr_workers + 1
         $5 = 42
         > p $1
         $6 = {id = 1, nr_workers = 41, watchdog_ts = 0}
         > set $p = &worker_pools[1]
         > p $p->id
         $7 = 2
         > p $99
         error: no variable, function or enumerator is called $99; did you mean $pc, $sp, $cpu, $task, $local0, $op0, $global0?
         > set $pc = 1
         error: $pc cannot be set: it is the machine's
         > set $3 = 1
         error: values that were printed cannot be changed: choose a name, as $x
         > p/q 1
         error: /q is no format: use one of x d u o t c a f s (`help print` tells how to use it)
         > whatis pool
         type = struct worker_pool *
         > ptype pool
         type = struct worker_pool {
         u32 id;
         u32 nr_workers;
         u64 watchdog_ts;
         } *
         > x/2xw pool
         0x10020 <worker_pools>:	0x00000001	0x00000029
         > x
         0x10028 <worker_pools+8>:	0x00000000
         > info symbol pool
         worker_pools (data)
         > p poool
         error: no variable, function or enumerator is called poool; did you mean pool?",
    );
}

#[test]
fn displays_are_printed_at_every_stop() {
    let mut session = in_touch_pool();
    session.check(
        "> display pool->nr_workers
         1: pool->nr_workers = 0
         > display/x jiffies_64
         2: /x jiffies_64 = 0xfffffffffffb6c20
         > display nosuch
         error: no variable, function or enumerator is called nosuch
         > undisplay 9
         error: there is no display 9",
    );
    let said = session.say("finish");
    assert!(said.ends_with("1: pool->nr_workers = 0\n2: /x jiffies_64 = 0xfffffffffffb6c20\n"), "{said}");
    session.say("undisplay 2");
    assert!(session.say("stepi").ends_with("1: pool->nr_workers = 0\n"));
    session.say("undisplay");
    assert_eq!(session.say("display"), "");
}

#[test]
fn source_and_instructions_are_listed() {
    let mut session = in_touch_pool();
    let said = session.say("list");
    assert!(
        said.starts_with("15\t") && said.contains("\n20\t\tpool->watchdog_ts") && said.lines().count() == 10,
        "{said}"
    );
    assert!(session.say("").starts_with("25\t{"));
    assert!(session.say("list -").starts_with("15\t"));
    assert_eq!(session.say("list 3,4"), "3\ttypedef unsigned int u32;\n4\ttypedef unsigned long long u64;\n");
    assert!(session.say("list workqueue.c:1").starts_with("1\t"));
    assert!(session.say("list lost").contains("u32 lost(void)"));
    assert!(session.say("list 900,910").starts_with("error: workqueue.c has only 49 lines"));
    let said = session.say("disas");
    assert!(said.contains("\n=> 0x39\ti64.load offset=65560\n"), "{said}");
    assert!(said.contains("  ; workqueue.c:21  pool->nr_workers++;\n   0x58\tlocal.get 0\n"), "{said}");
    assert!(session.say("disas lost").contains("i32.load offset=65616"));
    assert!(session.say("x/2i $pc").starts_with("  ; workqueue.c:20"));
    session.check("> info line touch_pool\nworkqueue.c:20 (touch_pool) is code 0x39 to 0x43");
}

#[test]
fn lists_of_what_there_is() {
    let mut session = in_touch_pool();
    session.check(
        "> info tasks
           Id  Task    Name         CPU   State  Frame
         * 1   0x1000  kworker/0:0  cpu0  runs   touch_pool (workqueue.c:20)
           2   0x2000  kworker/1:0  cpu1  runs   worker_thread (workqueue.c:42)
         > info globals worker*
         0x10020  worker_pools  48 bytes
         > info functions work
         0x2   worker_thread     workqueue.c:39
         0x34  process_one_work  workqueue.c:28
         > info files
         workqueue.c
         > info modules
         Id  Bytes  Symbols  What
         0   2387   DWARF    the kernel
         > info nosuch
         error: there is no topic nosuch
         > info registers
         $pc                       0x39
         $sp                       0x10000
         $local0                   i32:65568
         $op0                      i32:65568
         $op1                      i32:0
         $global0 __stack_pointer  i32:65536
         $global1 worker_pools     i32:65536
         $global2 jiffies_64       i32:65536
         > info version
         wkdb 0.1.0",
    );
}

#[test]
fn lines_are_completed() {
    let mut session = in_touch_pool();
    assert_eq!(session.completions("tb"), ["tbreak"]);
    assert_eq!(session.completions("info mo"), ["modules"]);
    assert_eq!(session.completions("break proc"), ["process_one_work"]);
    assert_eq!(session.completions("break work"), ["worker_thread", "workqueue.c:"]);
    assert_eq!(session.completions("break workqueue.c:lo"), ["lost"]);
    assert_eq!(session.completions("print worker_pools[0].n"), ["nr_workers"]);
    assert_eq!(session.completions("p 1 + pool->"), ["id", "nr_workers", "watchdog_ts"]);
    assert_eq!(session.completions("p jif"), ["jiffies_64"]);
    assert_eq!(session.completions("watch jiffies_64 --ch"), ["--changed"]);
    assert_eq!(session.completions("watch jiffies_64 --unless-in proc"), ["process_one_work"]);
    assert_eq!(session.completions("task kworker/1"), ["kworker/1:0"]);
    assert_eq!(session.completions("help fin"), ["finish"]);
    session.say("break lost");
    assert_eq!(session.completions("delete "), ["2"]);
    for line in ["", "é", "print é.", "nosuch x", "print )).", "info ", "x/", "p worker_pools[0].nosuch->"] {
        session.completions(line);
    }
}

#[test]
fn text_is_typed_and_scripts_are_read() {
    let mut session = Session::new();
    session.say("type ls -l");
    session.say("type \"\\x03\"");
    assert_eq!(session.toy.typed, b"ls -l\r\x03");
    let directory = std::env::temp_dir().join(format!("wkdb-commands-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let script = directory.join("script");
    std::fs::write(&script, "# a comment\nbreak lost\n\n  info b\n").unwrap();
    let reply = session.debugger.run(&mut session.toy, &format!("source {}", script.display())).unwrap();
    assert_eq!(reply.queued, ["break lost", "info b"]);
    assert!(session.say("source /nosuch/file").starts_with("error: cannot read /nosuch/file: "));
    assert!(session.say("directory /nosuch").starts_with("error: cannot read /nosuch: "));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn tasks_and_cpus_are_commands_too() {
    for topic in ["tasks", "cpus"] {
        let mut session = Session::new();
        let long = session.say(&format!("info {topic}"));
        assert!(long.contains("kworker/1:0"), "{long}");
        assert_eq!(session.say(topic), long);
        assert!(session.say(&format!("{topic} all")).contains("error"));
    }
    assert_eq!(super::super::Command::parse("ta").unwrap(), super::super::Command::parse("task").unwrap());
}
