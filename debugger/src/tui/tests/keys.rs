//! What keys and the mouse ask for.

use super::*;
use crate::tui::data::Data;
use crate::tui::pane::Pane;
use crate::tui::sample::{Doing, HistoryView, Mark, Memory, Sample, Source, Stack, TaskName, TaskRow, TaskState, Text};
use crate::tui::state::{Frozen, Mode};
use std::sync::Arc;
use wkdb_tracer::{Cpu, RunnerId, Tick};

/// A machine that is stopped, with two tasks and a source file.
fn stopped(history: bool) -> State {
    let task = |runner: u32, comm: &str| TaskRow {
        runner: RunnerId(runner),
        address: 0x1000 * u64::from(runner + 1),
        comm: comm.into(),
        pid: Some(runner),
        cpu: Cpu(1 - runner % 2),
        state: if runner == 0 { TaskState::Ready } else { TaskState::Runs },
        function: None,
    };
    let lines = (1..=100).map(|n| format!("line {n}")).collect();
    let sample = Sample {
        doing: Doing::Stopped,
        tick: Tick(1000),
        tasks: vec![task(0, "swapper"), task(1, "init")],
        stack: Stack {
            task: Some(TaskName { runner: RunnerId(1), comm: "init".into(), pid: Some(1) }),
            ..Stack::default()
        },
        source: Some(Source { file: "kernel/fork.c".into(), line: Some(40), lines: Some(Arc::new(lines)) }),
        history: history.then(|| HistoryView { present: Tick(1000), ..HistoryView::default() }),
        ..Sample::default()
    };
    screen_of(vec![FromSession::Sample(Box::new(sample))], (200, 60))
}

fn doing(state: &mut State, doing: Doing) {
    let sample = Sample { doing, ..state.data.sample.clone() };
    update(state, Event::Session(FromSession::Sample(Box::new(sample))));
}

fn told(state: &State) -> &str {
    state.message.as_ref().map_or("", |(_, text)| text)
}

#[test]
fn the_keys_of_debuggers_drive_the_machine_and_shift_drives_it_backwards() {
    for (keys, line) in [
        ("<F5>", "continue"),
        ("<F8>", "next"),
        ("<F10>", "next"),
        ("<F7>", "step"),
        ("<F11>", "step"),
        ("<F12>", "finish"),
        ("c", "continue"),
        ("x", "next"),
        ("s", "step"),
        ("u", "finish"),
        (".", "stepi"),
        (" ", "continue"),
        ("<S-F5>", "reverse-continue"),
        ("<F17>", "reverse-continue"),
        ("<S-F10>", "reverse-next"),
        ("<F22>", "reverse-next"),
        ("<S-F11>", "reverse-step"),
        ("C", "reverse-continue"),
        ("X", "reverse-next"),
        ("S", "reverse-step"),
        ("U", "reverse-finish"),
        (",", "reverse-stepi"),
    ] {
        assert_eq!(press(&mut stopped(true), keys), [command(line)], "{keys}");
    }
}

#[test]
fn without_a_past_the_keys_that_go_there_say_so() {
    let mut state = stopped(false);
    for keys in ["<S-F5>", "S", ",", "ma'a", "gl0<Enter>"] {
        assert_eq!(press(&mut state, keys), [], "{keys}");
        assert!(told(&state).contains("keeps no past"), "{keys}: {}", told(&state));
    }
}

#[test]
fn a_machine_that_runs_is_stopped_and_not_driven() {
    let mut state = stopped(true);
    doing(&mut state, Doing::Running);
    assert_eq!(press(&mut state, " "), [Effect::Interrupt]);
    assert_eq!(press(&mut state, "<C-c>"), [Effect::Interrupt]);
    assert_eq!(press(&mut state, "<F10>"), []);
    assert!(told(&state).contains("space stops it"));
    doing(&mut state, Doing::Travelling);
    assert_eq!(press(&mut state, " "), [Effect::Interrupt], "a way back can be given up");
}

#[test]
fn what_takes_long_is_given_up_by_escape() {
    let mut state = stopped(true);
    press(&mut state, "gue");
    doing(&mut state, Doing::Travelling);
    assert!(text(&state).contains("looks back"));
    assert!(told(&state).contains("Esc gives it up"));
    for keys in ["<Esc>", "<C-c>"] {
        assert_eq!(press(&mut state, keys), [Effect::Interrupt], "{keys}");
        assert!(text(&state).contains(" Esc give up"), "{}", text(&state));
    }
    assert_eq!(press(&mut state, "e"), [], "once is enough");
    let line = vec![(Mark::Problem, "given up".to_owned())];
    update(&mut state, Event::Session(FromSession::Said(Text(vec![line]))));
    doing(&mut state, Doing::Stopped);
    assert!(state.explanation.is_none() && told(&state) == "given up");
    assert_eq!(press(&mut state, "<Esc>"), [], "there is nothing to give up");
    assert_eq!(press(&mut state, "e"), [Effect::Explain]);
}

/// Sixteen bytes in three fields and a word that nobody knows.
fn memory() -> Memory {
    use crate::commands::FieldView;
    let field = |at: u64, name: &str, expression: &str, ty: &str, value: &str| FieldView {
        address: 0x1000 + at,
        size: 4,
        name: name.into(),
        expression: expression.into(),
        ty: ty.into(),
        value: value.into(),
    };
    Memory {
        expression: "*w".into(),
        origin: 0x1004,
        size: 12,
        value: "{pool = 0x2000, nr = 7}".into(),
        address: 0x1000,
        bytes: vec![0, 0x30, 0, 0, 0, 0x20, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0],
        names: vec![None],
        fields: vec![
            field(0, "", "", "", "0x3000 <pools>"),
            field(4, "pool", "(*w).pool", "struct worker_pool *", "0x2000"),
            field(8, "nr", "(*w).nr", "int", "7"),
            field(12, "fn", "(*w).fn", "void (*)(int)", "0x1 <work>"),
        ],
        problem: None,
    }
}

/// A screen on whose memory pane this is.
fn with_memory() -> State {
    let mut state = stopped(true);
    press(&mut state, ":memory *w<Enter>");
    let sample = Sample { memory: memory(), ..state.data.sample.clone() };
    update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
    state
}

#[test]
fn memory_is_shown_as_bytes_by_its_fields_and_as_a_value() {
    let mut state = with_memory();
    press(&mut state, "z");
    let bytes = text(&state);
    assert!(bytes.contains("00 30 00 00 00 20 00 00  07 00"), "{bytes}");
    assert!(bytes.contains("→0x3000 <pools>  pool=0x2000  nr=7  fn=0x1 <work>"), "{bytes}");
    assert!(bytes.contains(" v fields"));
    press(&mut state, "v");
    let fields = text(&state);
    assert!(fields.contains("00001004  00 20 00 00   pool  0x2000          struct worker_pool *"), "{fields}");
    assert!(fields.contains("00001000  00 30 00 00         → 0x3000 <pools>"), "{fields}");
    assert!(fields.contains(" v value"));
    press(&mut state, "v");
    let value = text(&state);
    assert!(value.contains("{pool = 0x2000, nr = 7}") && value.contains(" v bytes"), "{value}");
    press(&mut state, "v");
    assert_eq!(text(&state), bytes);
    // It may be pressed before anything has come.
    let mut early = stopped(true);
    press(&mut early, ":memory *w<Enter>zv");
    let sample = Sample { memory: memory(), ..early.data.sample.clone() };
    update(&mut early, Event::Session(FromSession::Sample(Box::new(sample))));
    assert!(text(&early).contains("00001004  00 20 00 00   pool  0x2000"), "{}", text(&early));
    // Where nothing is known there are bytes alone.
    let unknown = Memory { fields: Vec::new(), value: String::new(), ..memory() };
    let sample = Sample { memory: unknown, ..state.data.sample.clone() };
    update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
    press(&mut state, "v");
    assert!(text(&state).contains("00 30 00 00 00 20 00 00  07 00"));
}

#[test]
fn pointers_in_memory_are_followed_and_fields_watched() {
    let mut state = with_memory();
    press(&mut state, "v");
    assert_eq!(state.pane(Pane::Memory).cursor, 1, "what was asked for comes first");
    press(&mut state, "w");
    let Mode::Prompt(prompt) = &state.mode else { panic!("{:?}", state.mode) };
    assert_eq!(prompt.line, "watch (*w).pool");
    press(&mut state, "<Esc>j<Enter>j<Enter>");
    assert_eq!(state.memory.expression, "*w", "a number and a function point to no memory");
    press(&mut state, "kk<Enter>");
    assert_eq!(state.memory.expression, "(struct worker_pool *) 0x2000");
    assert_eq!(state.wants.memory, state.memory.expression);
    // And back.
    press(&mut state, ":memory x<Enter><Backspace>");
    assert_eq!(state.wants.memory, "(struct worker_pool *) 0x2000");
    press(&mut state, "<Backspace>");
    assert_eq!(state.wants.memory, "*w");
    press(&mut state, "<Backspace>");
    assert!(state.wants.memory == "*w" && told(&state).contains("before"));
    let mut state = with_memory();
    press(&mut state, "vk<Enter>");
    assert_eq!(state.memory.expression, "0x3000");
}

#[test]
fn the_window_moves_when_the_cursor_is_at_the_edge_of_its_fields() {
    let mut state = with_memory();
    press(&mut state, "vj");
    assert_eq!((state.pane(Pane::Memory).cursor, state.memory.rows), (2, 0));
    press(&mut state, "jj");
    assert_eq!((state.pane(Pane::Memory).cursor, state.memory.rows), (3, 1));
    press(&mut state, "ggk");
    assert_eq!((state.pane(Pane::Memory).cursor, state.memory.rows), (0, -1));
    press(&mut state, "vvj");
    assert_eq!(state.memory.rows, 0, "bytes have no cursor");
}

#[test]
fn the_screen_is_drawn_anew() {
    let mut state = stopped(true);
    assert_eq!(press(&mut state, "<C-l>"), []);
    assert!(state.anew);
}

#[test]
fn a_machine_that_runs_and_has_a_past_is_gone_back_in() {
    let mut state = stopped(true);
    doing(&mut state, Doing::Running);
    assert_eq!(press(&mut state, "<S-F5>"), [command("reverse-continue")], "the session stops it for that");
    assert_eq!(press(&mut state, "gl0<Enter>"), [command("goto 0")]);
    let mut state = stopped(false);
    doing(&mut state, Doing::Running);
    assert_eq!(press(&mut state, "<S-F5>"), []);
}

#[test]
fn what_went_wrong_is_asked_for_shown_and_gone_to() {
    let mut state = stopped(true);
    press(&mut state, "gu");
    assert_eq!(press(&mut state, "e"), [Effect::Explain]);
    let line = |n| vec![(Mark::Plain, format!("line {n}"))];
    let told = FromSession::Explained { text: Text((0..90).map(line).collect()), at: Some(Tick(77)) };
    update(&mut state, Event::Session(told.clone()));
    assert!(text(&state).contains("What went wrong") && text(&state).contains("line 0"));
    press(&mut state, "G");
    assert!(text(&state).contains("line 89"));
    assert_eq!(press(&mut state, "q"), []);
    assert_eq!(state.mode, Mode::Normal);
    assert_eq!(press(&mut state, "E"), [Effect::Explain], "a live run may have gone on since");
    update(&mut state, Event::Session(told.clone()));
    assert_eq!(press(&mut state, "<Enter>"), [command("goto 77")]);
    // Of a recording it is found out once.
    let mut sample = state.data.sample.clone();
    sample.history.as_mut().unwrap().end = Some((Tick(2000), wkdb_tracer::GuestTime(1)));
    update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
    assert_eq!(press(&mut state, "e"), []);
    assert_eq!(state.mode, Mode::Explanation(0));
    // One who types something meanwhile goes on typing.
    press(&mut state, "q:print");
    update(&mut state, Event::Session(told));
    assert!(matches!(state.mode, Mode::Prompt(_)));
    let mut state = stopped(true);
    doing(&mut state, Doing::Running);
    press(&mut state, "gue");
    assert!(state.message.as_ref().is_some_and(|(_, text)| text.contains("space stops it")));
    assert_eq!(press(&mut stopped(false), "gue"), []);
}

#[test]
fn leaving_is_asked_about_while_the_guest_lives() {
    let mut state = stopped(true);
    assert_eq!(press(&mut state, "q"), []);
    assert_eq!(press(&mut state, "n"), []);
    assert!(!state.over && state.mode == Mode::Normal);
    assert_eq!(press(&mut state, "<C-c>"), [], "Ctrl-C never leaves");
    assert!(!state.over);
    assert_eq!(press(&mut state, "qy"), [Effect::Quit]);
    assert!(state.over);
    let mut state = stopped(true);
    doing(&mut state, Doing::Ended("panic".into()));
    assert_eq!(press(&mut state, "q"), [Effect::Quit]);
    let mut state = stopped(true);
    assert_eq!(update(&mut state, Event::Leave), [Effect::Quit]);
    assert!(state.over);
}

#[test]
fn a_breakpoint_is_set_in_the_line_of_the_cursor_and_deleted_there() {
    use crate::commands::{PointPlace, PointView};
    use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};
    let mut state = stopped(true);
    assert_eq!(state.pane(Pane::Source).cursor, 39, "the cursor is where the machine is");
    assert_eq!(press(&mut state, "gujjb"), [command("break kernel/fork.c:42")]);
    let mut sample = state.data.sample.clone();
    sample.points = Arc::new(vec![PointView {
        number: 7,
        kind: "break".into(),
        enabled: true,
        temporary: false,
        hits: 0,
        what: "copy_process".into(),
        condition: None,
        remarks: vec![],
        places: vec![PointPlace {
            address: CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(1) },
            line: Some(("kernel/fork.c".into(), 42)),
        }],
        watched: None,
    }]);
    update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
    assert_eq!(state.pane(Pane::Source).cursor, 41, "a sample of the same place leaves the cursor");
    assert_eq!(press(&mut state, "<F9>"), [command("delete 7")]);
    assert_eq!(press(&mut state, "gbe"), [command("disable 7")]);
    assert_eq!(press(&mut state, "d"), [command("delete 7")]);
}

#[test]
fn cursors_go_to_where_the_machine_is_when_it_is_elsewhere() {
    let mut state = stopped(true);
    press(&mut state, "guG");
    assert_eq!(state.pane(Pane::Source).cursor, 99);
    let mut sample = state.data.sample.clone();
    sample.source.as_mut().unwrap().line = Some(10);
    update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
    assert_eq!(state.pane(Pane::Source).cursor, 9);
    press(&mut state, "gg");
    assert_eq!(state.pane(Pane::Source).cursor, 0);
    press(&mut state, "r");
    assert_eq!(state.pane(Pane::Source).cursor, 9);
}

#[test]
fn vi_keys_arrows_and_pages_move() {
    let mut state = stopped(true);
    press(&mut state, "gugg");
    let at = |state: &State| state.pane(Pane::Source).cursor;
    press(&mut state, "jj<Down>k<Up>");
    assert_eq!(at(&state), 1);
    press(&mut state, "<PageDown>");
    let page = at(&state) - 1;
    assert!(page > 10, "{page}");
    press(&mut state, "<PageUp>");
    assert_eq!(at(&state), 1);
    press(&mut state, "<C-d><C-u>");
    assert_eq!(at(&state), 1);
    press(&mut state, "G<PageDown>");
    assert_eq!(at(&state), 99);
    press(&mut state, "l<Right>h");
    assert_eq!(state.pane(Pane::Source).left, 8);
}

#[test]
fn tasks_are_ordered_filtered_and_looked_at() {
    let mut state = stopped(true);
    assert_eq!(press(&mut state, "gtgg<Enter>"), [Effect::LookAt(RunnerId(0), 0)]);
    press(&mut state, "o");
    assert_eq!(press(&mut state, "gg<Enter>"), [Effect::LookAt(RunnerId(0), 0)], "swapper is before init by pid");
    press(&mut state, "o");
    assert_eq!(press(&mut state, "<Enter>"), [Effect::LookAt(RunnerId(1), 0)], "init is before swapper by name");
    press(&mut state, "oo");
    assert_eq!(press(&mut state, "gg<Enter>"), [Effect::LookAt(RunnerId(1), 0)], "what runs is first by state");
    press(&mut state, "o/swa<Enter>");
    assert_eq!(press(&mut state, "gg<Enter>"), [Effect::LookAt(RunnerId(0), 0)]);
    press(&mut state, "<Esc>");
    assert_eq!(state.pane(Pane::Tasks).search, None);
}

#[test]
fn keys_go_to_the_guest_until_ctrl_bracket() {
    let mut state = stopped(true);
    let bytes = |effects: Vec<Effect>| -> Vec<u8> {
        let bytes = effects.into_iter().map(|effect| match effect {
            Effect::TypeIn(bytes) => bytes,
            other => panic!("{other:?}"),
        });
        bytes.flatten().collect()
    };
    doing(&mut state, Doing::Running);
    assert_eq!(bytes(press(&mut state, "iqls?<Enter><C-c><Esc>")), b"qls?\r\x03\x1b");
    assert_eq!(state.focus, Pane::Console);
    assert_eq!(press(&mut state, "<C-]>"), []);
    assert_eq!(state.mode, Mode::Normal);
    press(&mut state, "<Enter>");
    assert_eq!(state.mode, Mode::Typing);
    assert_eq!(update(&mut state, Event::Paste("a\nb".into())), [Effect::TypeIn(b"a\rb".to_vec())]);
    update(&mut state, Event::Session(FromSession::Stopped(Text::line(Mark::Headline, "Breakpoint 1"))));
    assert_eq!(state.mode, Mode::Normal, "what is typed at a machine that stands still is not heard");
}

#[test]
fn function_keys_drive_the_machine_also_while_one_types_to_the_guest() {
    let mut state = stopped(true);
    press(&mut state, "goi");
    assert_eq!(press(&mut state, "<F5>"), [command("continue")]);
    assert_eq!(state.mode, Mode::Typing);
}

#[test]
fn command_lines_are_edited_kept_and_sent() {
    let typed = |line: &str| Effect::Command { line: line.into(), typed: true };
    let mut state = stopped(true);
    assert_eq!(press(&mut state, ":info tasks<Enter>"), [typed("info tasks")]);
    assert_eq!(press(&mut state, ":pxint jiffies<Home><Right><C-k><Backspace>print 1<Enter>"), [typed("print 1")]);
    assert_eq!(press(&mut state, ":<Up><Up><Enter>"), [typed("info tasks")]);
    assert_eq!(press(&mut state, ":abc<Up><Down><C-w>é<Left><Backspace><C-e>x<Enter>"), [typed("éx")]);
    assert_eq!(press(&mut state, ":abc<Esc>"), []);
    assert_eq!(press(&mut state, ":<Enter>"), []);
    assert_eq!(press(&mut state, ":a<Backspace><Backspace>"), []);
    assert_eq!(state.mode, Mode::Normal);
}

#[test]
fn tab_completes_with_what_the_session_knows() {
    let mut state = stopped(true);
    let line = |state: &State| match &state.mode {
        Mode::Prompt(prompt) => (prompt.line.clone(), prompt.candidates.len()),
        other => panic!("{other:?}"),
    };
    let complete = |state: &mut State, line: &str, start, words: &[&str]| {
        let candidates = words.iter().map(|word| ((*word).to_owned(), true)).collect();
        let line = line.to_owned();
        update(state, Event::Session(FromSession::Completion { line, start, candidates }));
    };
    assert_eq!(press(&mut state, ":break co<Tab>"), [Effect::Complete("break co".into())]);
    complete(&mut state, "break co", 6, &["copy_files", "copy_fs"]);
    assert_eq!(line(&state), ("break copy_f".into(), 2));
    complete(&mut state, "break copy_f", 6, &["copy_files"]);
    assert_eq!(line(&state), ("break copy_files ".into(), 0));
    complete(&mut state, "break co", 6, &["copy_fs"]);
    assert_eq!(line(&state).0, "break copy_files ", "an answer that comes late is of no use");
    press(&mut state, "<Esc>:me<Tab>");
    complete(&mut state, "me", 0, &[]);
    assert_eq!(line(&state).0, "memory ");
    press(&mut state, "<Esc>:theme m<Tab>");
    complete(&mut state, "theme m", 6, &[]);
    assert_eq!(line(&state).0, "theme mono ");
}

#[test]
fn the_screen_has_commands_of_its_own() {
    let mut state = stopped(true);
    press(&mut state, ":memory first_worker<Enter>");
    assert_eq!((state.focus, state.memory.expression.as_str()), (Pane::Memory, "first_worker"));
    assert_eq!((state.wants.memory.as_str(), state.wants.offset), ("first_worker", 0));
    press(&mut state, "jj");
    assert_eq!(state.wants.offset, 32);
    press(&mut state, ":pane events<Enter>");
    assert_eq!(state.focus, Pane::Events);
    press(&mut state, ":layout memory<Enter>");
    assert_eq!(state.current_layout().name, "memory");
    press(&mut state, ":theme light<Enter>");
    assert_eq!(state.theme_name, ThemeName::Light);
    let effects = press(&mut state, ":save<Enter>");
    let [Effect::SaveSettings(text)] = &effects[..] else { panic!("{effects:?}") };
    let settings = Settings::parse(text).unwrap();
    assert_eq!((settings.layout.as_str(), settings.theme), ("memory", Some(ThemeName::Light)));
    for (keys, word) in [(":theme x<Enter>", "themes:"), (":pane x<Enter>", "panes:"), (":layout x<Enter>", "layouts:")]
    {
        press(&mut state, keys);
        assert!(told(&state).starts_with(word), "{}", told(&state));
    }
}

#[test]
fn a_frozen_pane_stays_as_it_is_while_the_others_go_on() {
    let mut state = stopped(true);
    press(&mut state, "gtf");
    let sample = Sample { tasks: vec![], tick: Tick(2000), ..state.data.sample.clone() };
    update(&mut state, Event::Session(FromSession::Sample(Box::new(sample))));
    assert_eq!(state.data_of(Pane::Tasks).sample.tasks.len(), 2);
    assert_eq!(state.data_of(Pane::Cpus).sample.tick, Tick(2000));
    assert!(text(&state).contains("[frozen]"));
    press(&mut state, "f");
    assert!(state.data_of(Pane::Tasks).sample.tasks.is_empty());
    press(&mut state, "gof");
    update(&mut state, Event::Session(FromSession::Console { bytes: b"later".to_vec(), dropped: 0 }));
    assert!(matches!(state.pane(Pane::Console).frozen.as_ref(), Some(Frozen::Screen(_))));
    assert!(!text(&state).contains("later"));
    press(&mut state, "f");
    assert!(text(&state).contains("later"));
}

#[test]
fn the_timeline_is_scrubbed_by_keys_and_by_the_mouse() {
    let mut state = stopped(true);
    assert_eq!(press(&mut state, "gl0<Enter>"), [command("goto 0")]);
    press(&mut state, "$");
    assert_eq!(state.scrub, Some(Tick(1000)));
    press(&mut state, "hhhl");
    let tick = state.scrub.unwrap();
    assert!(tick < Tick(1000) && tick > Tick(980), "{tick}");
    press(&mut state, "H");
    assert!(state.scrub.unwrap() < tick);
    let area = state.visible().into_iter().find(|(pane, _)| *pane == Pane::Timeline).unwrap().1;
    let middle = area.x + area.width / 2;
    let effects = click(&mut state, middle, area.y + 1);
    let [Effect::Command { line, .. }] = &effects[..] else { panic!("{effects:?}") };
    let tick: u64 = line.strip_prefix("goto ").unwrap().parse().unwrap();
    assert!((490..=510).contains(&tick), "{tick}");
    update(&mut state, Event::Session(FromSession::Stopped(Text::default())));
    assert_eq!(state.scrub, None, "it has been gone to");
}

#[test]
fn bookmarks_lead_back() {
    let mut state = stopped(true);
    press(&mut state, "mx");
    assert_eq!(press(&mut state, "'x"), [command("goto 1000")]);
    assert_eq!(press(&mut state, "'y"), []);
    assert!(told(&state).contains("no bookmark y"));
    assert_eq!(press(&mut state, "m<Esc>"), []);
    assert!(text(&state).contains("x") && state.bookmarks.len() == 1);
}

#[test]
fn the_mouse_focuses_selects_switches_and_sets_breakpoints() {
    let mut state = stopped(true);
    let (group, _) = state.groups().into_iter().find(|(group, _)| group.panes.contains(&Pane::Source)).unwrap();
    let top = state.pane(Pane::Source).top;
    assert_eq!(click(&mut state, group.area.x + 20, group.area.y + 1), []);
    assert_eq!((state.focus, state.pane(Pane::Source).cursor), (Pane::Source, top));
    assert_eq!(
        click(&mut state, group.area.x + 2, group.area.y + 2),
        [command(&format!("break kernel/fork.c:{}", top + 2))]
    );
    let (group, shown) = state.groups().into_iter().find(|(group, _)| group.panes.contains(&Pane::Cpus)).unwrap();
    assert_eq!(shown, Pane::Disassembly);
    click(&mut state, group.area.x + 19, group.area.y);
    assert_eq!(state.focus, Pane::Cpus);
    let (group, _) = state.groups().into_iter().find(|(group, _)| group.panes.contains(&Pane::Tasks)).unwrap();
    // A heading, then the tasks; the second click on the same one looks at it.
    assert_eq!(click(&mut state, group.area.x + 5, group.area.y + 2), []);
    assert_eq!(click(&mut state, group.area.x + 5, group.area.y + 2), [Effect::LookAt(RunnerId(0), 0)]);
}

#[test]
fn panes_are_gone_through_zoomed_and_found_by_their_keys() {
    let mut state = stopped(true);
    let first = state.focus;
    let mut seen = vec![first];
    loop {
        press(&mut state, "<Tab>");
        if state.focus == first {
            break;
        }
        assert!(!seen.contains(&state.focus));
        seen.push(state.focus);
    }
    assert_eq!(seen.len(), state.visible().len());
    press(&mut state, "<BackTab>");
    assert_eq!(state.focus, *seen.last().unwrap());
    press(&mut state, "z");
    assert_eq!(state.visible().len(), 1);
    press(&mut state, "z4gv");
    assert_eq!(
        state.visible(),
        [(Pane::Variables, state.room())],
        "a pane that the layout lacks gets the whole screen"
    );
    press(&mut state, "1");
    for pane in Pane::ALL {
        press(&mut state, &format!("g{}", pane.key()));
        assert!(state.visible().iter().any(|(shown, _)| *shown == pane), "{pane:?}");
    }
}

#[test]
fn lists_that_grow_show_their_end_until_one_looks_back() {
    let mut state = stopped(true);
    press(&mut state, "gx");
    let say = |state: &mut State, n: usize| {
        for n in 0..n {
            let text = Text::line(Mark::Plain, format!("answer {n}"));
            update(state, Event::Session(FromSession::Said(text)));
        }
    };
    say(&mut state, 100);
    assert_eq!(state.pane(Pane::Commands).cursor, 99);
    press(&mut state, "k");
    say(&mut state, 10);
    assert_eq!(state.pane(Pane::Commands).cursor, 98);
    press(&mut state, "G");
    say(&mut state, 10);
    assert_eq!(state.pane(Pane::Commands).cursor, 119);
}

#[test]
fn only_what_is_seen_is_asked_for() {
    let mut state = stopped(true);
    press(&mut state, ":memory x<Enter>");
    assert!(state.wants.len > 0);
    let before = state.wants.clone();
    press(&mut state, "gt");
    assert!(!state.wants.panes.contains(&Pane::Memory) && state.wants.len == 0);
    assert_ne!(before, state.wants);
    // A sample changes nothing of that.
    let sample = state.data.sample.clone();
    assert_eq!(update(&mut state, Event::Session(FromSession::Sample(Box::new(sample)))), []);
}

#[test]
fn whatever_is_pressed_nothing_breaks() {
    use proptest::prelude::*;
    let keys = prop_oneof![
        Just("<Enter>".to_owned()),
        Just("<Esc>".to_owned()),
        Just("<Tab>".to_owned()),
        Just("<C-]>".to_owned()),
        Just("<PageDown>".to_owned()),
        Just("<Left>".to_owned()),
        "[a-zA-Z0-9:/?.,'<>+-]".prop_map(|key| if key == "<" { "<Down>".to_owned() } else { key }),
    ];
    proptest!(ProptestConfig::with_cases(64), |(all in proptest::collection::vec(keys, 0..60), history in any::<bool>())| {
        let mut state = stopped(history);
        for keys in all {
            press(&mut state, &keys);
            drawn(&state);
            if state.over {
                break;
            }
        }
    });
    // So that the default is one that can be told from others.
    assert_eq!(Data::default().sample.doing, Doing::Starting);
}
