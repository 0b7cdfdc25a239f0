//! The program in a real terminal.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::tmux::{Mouse, Tmux};

/// The lines of a screen between two that contain these texts.
fn between(screen: &str, from: &str, to: &str) -> String {
    let lines = screen.lines().skip_while(|line| !line.contains(from)).skip(1).take_while(|line| !line.contains(to));
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Whether this text is in a pane that has the screen's whole width: it was there before, in a smaller one.
fn zoomed(screen: &str, text: &str) -> bool {
    // A frame may come to the terminal in pieces: all of the pane has to be there.
    let pane = screen.lines().skip_while(|line| !line.starts_with('┏')).skip(1);
    let mut pane = pane.take_while(|line| !line.starts_with('┗'));
    screen.lines().any(|line| line.starts_with('┗'))
        && pane.clone().all(|line| line.starts_with('┃') && !line.contains('│'))
        && pane.any(|line| line.contains(text))
}

#[test]
fn a_stray_write_is_found_from_the_crash_back_to_the_store() {
    let Some(tmux) = Tmux::start("demo stray-write --tui --tui-wait --pace warp", (200, 60)) else { return };
    tmux.wait(&["The machine is about to start", "F5 continue"]);

    // A breakpoint, a step.
    tmux.command("break evdev_stop_autorepeat");
    tmux.wait(&["Breakpoint 1 at"]);
    tmux.keys(&["F5"]);
    let screen = tmux.wait(&["Breakpoint 1", "evdev.c", "client", "Since the last stop"]);
    assert!(screen.contains("●▶"), "the breakpoint and the machine are in the same line:\n{screen}");
    tmux.keys(&["F10"]);
    tmux.wait(&["evdev.c:25"]);
    tmux.command("delete 1");
    tmux.wait(&["none: `b` in the source"]);

    // On to where it shows: a detector sees it before anybody trips over it.
    tmux.keys(&["F5"]);
    let found = tmux.wait(&["■ stopped", "workqueues: the pool of the worker", "Since the last stop"]);
    assert!(!found.contains("Trap"), "{found}");
    tmux.keys(&["g", "f"]);
    tmux.wait(&["Findings", "? time 3.250000 cpu0 kworker/0:0", ": workqueues: the pool of the w"]);
    tmux.keys(&["F5"]);
    let crash = tmux.wait(&["■ stopped", "Trap: unaligned atomic", "_raw_spin_lock"]);
    assert!(crash.contains("Since the last stop"), "{crash}");
    // What the memory is that it trips over.
    tmux.command("memory first_worker");
    tmux.keys(&["z", "v"]);
    tmux.wait_for("the worker's fields", |screen| {
        screen.lines().any(|line| line.contains("ffffffff") || line.contains("ff ff ff ff") && line.contains("pool"))
    });
    tmux.keys(&["v", "v", "z"]);

    // Back to who wrote it.
    tmux.command("watch first_worker.pool if (int)first_worker.pool == -1");
    tmux.wait(&["Watch 2: first_worker.pool"]);
    tmux.keys(&["S-F5"]);
    let store = tmux.wait(&["in the past", "by evdev_stop_autorepeat (drivers/evdev.c:25)"]);
    assert!(store.contains("evdev_stop_autorepeat"), "{store}");
    tmux.keys(&["g", "w", "z"]);
    let stop = tmux.wait_for("the stop in a large pane", |screen| zoomed(screen, "Watch 2: first_worker.pool"));
    insta::assert_snapshot!("the-store", between(&stop, "Stop", "Since the last stop"));
    tmux.keys(&["z", "g", "u", "z"]);
    let source = tmux.wait_for("the source in a large pane", |screen| zoomed(screen, "▶ 26"));
    insta::assert_snapshot!("the-source", between(&source, "Source", "━━━"));
    tmux.keys(&["z"]);

    // Elsewhere in time, by the timeline.
    let before = tmux.wait(&["in the past"]);
    tmux.keys(&["m", "a"]);
    tmux.wait(&["bookmark a: tick"]);
    tmux.keys(&["g", "l", "H", "H", "Enter"]);
    tmux.wait(&["going to tick"]);
    let moment = |screen: &str| screen.lines().next().unwrap_or_default().split("tick").nth(1).map(str::to_owned);
    tmux.wait_for("another moment", |screen| screen.contains("in the past") && moment(screen) != moment(&before));
    // Back by its bookmark, and away again by the mouse.
    tmux.keys(&["'", "a"]);
    let back = tmux.wait_for("the bookmark's moment", |screen| moment(screen) == moment(&before));
    let bar = back.lines().position(|line| line.contains(" Timeline ")).unwrap() + 1;
    tmux.mouse(Mouse::Press, 150, bar);
    tmux.mouse(Mouse::Drag, 100, bar);
    tmux.mouse(Mouse::Release, 100, bar);
    let middle =
        tmux.wait_for("the middle", |screen| screen.contains("■ in the past") && moment(screen) != moment(&back));
    let tick = |screen: &str| -> u64 { moment(screen).unwrap().split_whitespace().next().unwrap().parse().unwrap() };
    assert!(tick(&middle) > tick(&back) / 3 && tick(&middle) < tick(&back), "{middle}");

    tmux.keys(&["q"]);
    tmux.wait(&["end the guest and leave"]);
    tmux.keys(&["y"]);
    tmux.left(0);
}

#[test]
fn the_guest_is_typed_to_and_the_screen_follows_the_terminals_size() {
    let Some(tmux) = Tmux::start("demo --tui --pace warp", (80, 24)) else { return };
    tmux.keys(&["g", "o"]);
    tmux.wait(&["minik# "]);
    tmux.keys(&["i"]);
    let typing = tmux.wait(&["Ctrl-]"]);
    // The cursor is where the guest's is.
    assert_eq!(tmux.state("#{cursor_flag}"), "1", "{typing}");
    let (x, y) = (tmux.state("#{cursor_x}"), tmux.state("#{cursor_y}"));
    let line = typing.lines().nth(y.parse().unwrap()).unwrap();
    let before: String = line.chars().take(x.parse().unwrap()).collect();
    assert!(before.ends_with("minik# "), "{x} {y}\n{typing}");
    tmux.keys(&["echo hello from the screen", "Enter"]);
    // Once as it is typed, and once as the answer.
    let screen = tmux.wait(&["│hello from the screen"].map(|text| text.trim_start_matches('│')));
    assert!(screen.contains("minik# echo hello from the screen"), "{screen}");
    tmux.keys(&["C-]"]);
    tmux.wait(&["space stop"]);
    // A key comes at the same moment: neither is lost.
    tmux.resize_and_press(200, 60, &["?"]);
    tmux.wait_for("help on the whole screen", |screen| {
        screen.contains(" Keys ") && screen.lines().nth(1).is_some_and(|line| line.chars().count() == 200)
    });
    tmux.keys(&["q"]);
    tmux.wait(&["Variables", "Tasks", "Break & Watch", "Timeline"]);
    tmux.resize(60, 15);
    tmux.wait(&["minik# "]);
    tmux.keys(&["Space"]);
    tmux.wait(&["■ stopped"]);
    tmux.command("layout machine");
    tmux.command("save");
    tmux.wait(&["kept in"]);
    let saved = std::fs::read_to_string(tmux.home().join("wkdb/tui.toml")).unwrap();
    assert!(saved.contains("layout = \"machine\""), "{saved}");
    // What something else has written over it is gone when it is drawn anew.
    tmux.scribble("\x1b[5;5Hscribbled");
    tmux.wait(&["scribbled"]);
    tmux.keys(&["C-l"]);
    tmux.wait_for("the screen, drawn anew", |screen| !screen.contains("scribbled"));
    tmux.keys(&["q", "y"]);
    tmux.left(0);
    // The next time it is as it was saved.
    tmux.resize(200, 60);
    tmux.again("demo --tui --tui-wait");
    tmux.wait(&["about to start"]);
    let machine = tmux.wait(&["CPUs", "Tasks", "Timeline"]);
    let first = machine.lines().nth(1).unwrap();
    assert!(first.contains("CPUs") && !first.contains("Source"), "{machine}");
    tmux.keys(&["q", "y"]);
    tmux.left(0);
}

#[test]
fn terminals_get_the_colours_that_they_have() {
    // What is behind ESC [ and before m: colours are 30 to 48 and 90 to 107, those of 256 and more 38;5 and 38;2.
    let colours = |screen: &str| -> Vec<String> {
        let sequences = screen.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m').map(|(codes, _)| codes));
        let coloured = |codes: &&str| {
            let codes = codes.split(';').filter_map(|code| code.parse::<u8>().ok());
            codes.into_iter().any(|code| matches!(code, 30..=38 | 40..=48 | 90..=107))
        };
        sequences.filter(coloured).map(str::to_owned).collect()
    };
    let many = |colours: &[String]| colours.iter().any(|codes| codes.contains("8;5;") || codes.contains("8;2;"));
    for (settings, some, large) in
        [(&["NO_COLOR=1"][..], false, false), (&[][..], true, false), (&["COLORTERM=truecolor"][..], true, true)]
    {
        // tmux calls itself a terminal of many colours.
        let command = format!("env TERM=xterm {} demo --tui --tui-wait", env!("CARGO_BIN_EXE_wkdb"));
        let Some(tmux) = Tmux::start_program(settings, &command, (100, 30)) else { return };
        tmux.wait(&["about to start", "F5 continue"]);
        let screen = tmux.coloured();
        let found = colours(&screen);
        assert_eq!((!found.is_empty(), many(&found)), (some, large), "{settings:?}: {found:?}\n{screen}");
        assert!(screen.contains("\x1b["), "it is marked all the same");
        tmux.keys(&["q", "y"]);
        tmux.left(0);
    }
}

#[test]
fn a_machine_that_is_killed_is_told_and_the_terminal_left_clean() {
    let Some(tmux) = Tmux::start("demo --tui", (100, 30)) else { return };
    tmux.wait(&["▶ runs", "19 tasks"]);
    let program = tmux.process();
    let machines = std::fs::read_to_string(format!("/proc/{program}/task/{program}/children")).unwrap();
    let machine = machines.split_whitespace().next().expect("it has a machine process").parse().unwrap();
    kill(Pid::from_raw(machine), Signal::SIGKILL).unwrap();
    tmux.wait(&["the machine is gone"]);
    tmux.keys(&["q"]);
    let screen = tmux.left(1);
    assert!(screen.contains("the machine process is gone"), "{screen}");
}

#[test]
fn a_program_that_is_asked_to_end_leaves_the_terminal_clean() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let Some(tmux) = Tmux::start("demo --tui", (100, 30)) else { return };
        tmux.wait(&["▶ runs", "19 tasks"]);
        kill(Pid::from_raw(tmux.process()), signal).unwrap();
        tmux.left(0);
    }
}

#[test]
fn a_recording_that_ended_badly_opens_at_its_crash() {
    let recording = concat!(env!("CARGO_TARGET_TMPDIR"), "/fdtable.wkr");
    let arguments = format!("demo fdtable --pace warp --record {recording} </dev/null >/dev/null");
    let Some(tmux) = Tmux::start(&arguments, (80, 24)) else { return };
    tmux.wait(&["left with 3"]);
    drop(tmux);
    let Some(tmux) = Tmux::start(&format!("replay {recording} --tui"), (200, 60)) else { return };
    let crash = tmux.wait(&["■ stopped", "panicked", "recording ends", "e explain"]);
    assert!(crash.contains("end 0x") || crash.contains("panic"), "{crash}");
    // Who did it is one key away.
    tmux.keys(&["e"]);
    tmux.wait(&["What went wrong", "culprit: "]);
    tmux.keys(&["q"]);
    tmux.wait(&["F5 continue"]);
    tmux.keys(&["g", "l", "0", "Enter"]);
    tmux.wait(&["in the past"]);
    tmux.keys(&["q", "y"]);
    tmux.left(0);
}

#[test]
fn linux_is_shown_live_stopped_and_in_its_past() {
    let Some(tmux) = Tmux::start("run linux --tui", (200, 60)) else { return };
    // Its console, while it runs in fast code.
    tmux.keys(&["4"]);
    let prompt = |screen: &str| screen.lines().any(|line| line.starts_with("┃# ") || line.starts_with("│# "));
    let screen = tmux.wait_for("the shell", |screen| screen.contains("▶ runs") && prompt(screen));
    assert!(!screen.contains("debug code"), "{screen}");
    tmux.keys(&["i"]);
    tmux.wait(&["Ctrl-]"]);
    tmux.keys(&["cat /proc/version", "Enter"]);
    tmux.wait_for("the answer", |screen| screen.contains("┃Linux version 6.12"));
    tmux.keys(&["C-]"]);

    // CPUs with what the kernel knows of them, tasks with their pids, by name.
    tmux.keys(&["2", "g", "c"]);
    tmux.wait(&["timer", "lag", "swapper/0", "cpu_idle"]);
    tmux.keys(&["g", "t", "/", "khvcd", "Enter"]);
    let listed = |screen: &str, name: &str| screen.lines().any(|line| line.contains(name) && line.contains(" out "));
    tmux.wait_for("khvcd among the tasks", |screen| listed(screen, "khvcd"));
    tmux.keys(&["g", "k"]);
    tmux.wait(&["jiffies", "Overdue"]);

    // It is stopped where it calls a function: its source is not here, but the frames have their places.
    tmux.command("break vfs_read");
    tmux.wait(&["Breakpoint 1 at"]);
    tmux.keys(&["i"]);
    tmux.keys(&["cat /proc/uptime", "Enter"]);
    let stop = tmux.wait(&["■ stopped", "Breakpoint 1", "vfs_read"]);
    assert!(stop.contains("read_write.c"), "{stop}");
    tmux.keys(&["g", "s", "z"]);
    let stack = tmux.wait_for("the stack in a large pane", |screen| zoomed(screen, "vfs_read"));
    assert!(stack.contains("fs/read_write.c:"), "{stack}");
    assert!(stack.contains("ksys_read") || stack.contains("sys_read"), "{stack}");
    tmux.keys(&["z", "g", "v", "z"]);
    tmux.wait_for("its arguments", |screen| zoomed(screen, "count"));
    // What the words of a structure are, and what they point to.
    tmux.command("memory init_task");
    tmux.keys(&["v"]);
    tmux.wait_for("the fields of a task", |screen| {
        let whole = |line: &str| [" stack ", " <init_stack> ", " void *"].iter().all(|word| line.contains(word));
        zoomed(screen, "<init_stack>") && screen.lines().any(whole)
    });
    tmux.keys(&["v", "v", "z"]);

    // Back to its boot, and to the present.
    tmux.command("delete");
    tmux.command("goto 0.05s");
    tmux.wait(&["in the past"]);
    tmux.command("goto end");
    tmux.wait_for("the present", |screen| screen.contains("■ stopped") && !screen.contains("in the past"));
    tmux.keys(&["F5"]);
    tmux.wait_for("fast code again", |screen| screen.contains("▶ runs ") && !screen.contains("debug code"));
    tmux.keys(&["q", "y"]);
    tmux.left(0);
}
