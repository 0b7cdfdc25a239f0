//! Scripts, read and run.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn parse(source: &str) -> Script {
    Script::parse(source).unwrap_or_else(|error| panic!("{error}"))
}

fn at(seconds: u64) -> GuestTime {
    GuestTime(seconds * SECOND)
}

#[test]
fn every_kind_of_line() {
    let script = parse(
        "# a comment\n\n  expect \"login: \" # then\nsend \"root\\n\"\nwait 2.5s\n@12s send \"\\x03\"\n\t@1s send\"a # b\"\r\n",
    );
    assert_eq!(script.steps.len(), 3);
    assert_eq!(script.steps[0].line, 3);
    let Action::Expect(text) = &script.steps[0].action else { panic!("{script:?}") };
    assert_eq!((text.bytes.as_slice(), text.written.as_str()), (&b"login: "[..], "\"login: \""));
    assert_eq!(script.steps[2].action, Action::Wait(Duration::from_millis(2500)));
    let timed: Vec<_> = script.timed.iter().map(|send| (send.at, send.line, send.text.bytes.as_slice())).collect();
    assert_eq!(timed, [(at(1), 7, &b"a # b"[..]), (at(12), 6, &b"\x03"[..])]);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let error = Script::parse("send \"ok\"\nexpect login:\n\tsend \"ü\\q\"\nwait soon\n@5s expect \"x\"\nfoo\nexpect \"\"\nsend \"a\" b\nwait")
        .unwrap_err();
    let expected = "\
input script, line 2, column 8: expected a text in double quotes after `expect`
 2 | expect login:
   |        ^
input script, line 3, column 9: unknown escape: expected one of \\n \\r \\t \\e \\a \\b \\f \\v \\\\ \\\" \\xNN or octal digits
 3 | \tsend \"ü\\q\"
   | \t       ^
input script, line 4, column 6: \"soon\" is not a time span: it must begin with a number
 4 | wait soon
   |      ^
input script, line 5, column 5: expected `send \"TEXT\"` after the time: only input can be sent at a time
 5 | @5s expect \"x\"
   |     ^
input script, line 6, column 1: expected `expect \"TEXT\"`, `send \"TEXT\"`, `wait TIME`, `@TIME send \"TEXT\"` or a # comment
 6 | foo
   | ^
input script, line 7, column 8: expected a text to wait for, found an empty one
 7 | expect \"\"
   |        ^
input script, line 8, column 10: expected the end of the line
 8 | send \"a\" b
   |          ^
input script, line 9, column 5: expected a time after `wait`, as in 2.5s
 9 | wait
   |     ^";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_dialogue() {
    let mut run = ScriptRun::new(parse("expect \"login: \"\nsend \"root\\n\"\nwait 2s\nsend \"ls\\n\"\nexpect \"$ \""));
    assert_eq!(run.waiting_for(), Some((1, "\"login: \"")));
    assert_eq!(run.next_wakeup(), None);
    run.console_output(b"Welcome\r\nlog", at(1));
    assert_eq!(run.take_input(), b"");
    run.console_output(b"in: ", at(3));
    assert_eq!(run.take_input(), b"root\n");
    assert_eq!(run.waiting_for(), None);
    assert_eq!(run.next_wakeup(), Some(at(5)));
    run.advance(at(4));
    assert_eq!(run.take_input(), b"");
    run.advance(at(5));
    assert_eq!(run.take_input(), b"ls\n");
    assert_eq!(run.waiting_for(), Some((5, "\"$ \"")));
    assert!(!run.is_done());
    run.console_output(b"$ ", at(6));
    assert!(run.is_done());
    assert_eq!((run.waiting_for(), run.next_wakeup()), (None, None));
}

#[test]
fn an_expect_looks_after_the_match_before_it() {
    let mut run = ScriptRun::new(parse("expect \"$ \"\nexpect \"$ \"\nsend \"x\""));
    run.console_output(b"$ ", at(1));
    assert_eq!(run.waiting_for(), Some((2, "\"$ \"")));
    run.console_output(b"$ ", at(2));
    assert_eq!(run.take_input(), b"x");
}

#[test]
fn what_is_printed_during_a_wait_counts() {
    let mut run = ScriptRun::new(parse("wait 5s\nexpect \"ready\"\nsend \"x\""));
    run.console_output(b"ready", at(1));
    assert_eq!(run.take_input(), b"");
    assert_eq!(run.next_wakeup(), Some(at(5)));
    run.advance(at(5));
    assert_eq!(run.take_input(), b"x");
}

#[test]
fn timed_lines_do_not_wait_for_the_sequence() {
    let mut run = ScriptRun::new(parse("expect \"never\"\n@2s send \"b\"\n@1s send \"a\"\n@0s send \"now\""));
    assert_eq!(run.take_input(), b"now");
    assert_eq!(run.next_wakeup(), Some(at(1)));
    run.advance(at(9));
    assert_eq!(run.take_input(), b"ab");
    assert!(!run.is_done());
}

#[test]
fn a_late_call_types_in_the_order_of_the_times() {
    let mut run = ScriptRun::new(parse("wait 1s\nsend \"1\"\nwait 2s\nsend \"3\"\n@2s send \"2\"\n@3s send \"t\""));
    run.advance(at(100));
    assert_eq!(run.take_input(), b"123t");
    assert!(run.is_done());
}

#[test]
fn an_empty_script_is_done() {
    assert!(ScriptRun::new(parse("\n# nothing\n")).is_done());
}

/// What a script typed and when, if it is asked as often as `times` says and the output is cut as `cuts` says.
fn typed(source: &str, output: &[(u64, &str)], cut: usize, ask_every: u64) -> Vec<u8> {
    let mut run = ScriptRun::new(parse(source));
    let mut input = run.take_input();
    for second in 0..=20 {
        if second % ask_every == 0 {
            run.advance(at(second));
        }
        for (_, text) in output.iter().filter(|(when, _)| *when == second) {
            for piece in text.as_bytes().chunks(cut) {
                run.console_output(piece, at(second));
            }
        }
        input.extend(run.take_input());
    }
    run.advance(at(21));
    input.extend(run.take_input());
    input
}

proptest! {
    #[test]
    fn neither_pieces_nor_questions_change_what_is_typed(
        lines in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec!["expect \"a\"", "expect \"ab\"", "expect \"\\n\"", "expect \"ba\""]),
                prop::sample::select(vec!["wait 1s", "wait 3s", "send \"x\"", "send \"y\"", "@4s send \"p\"", "@9s send \"q\""]),
            ],
            0..10,
        ),
        output in prop::collection::vec((0u64..20, "[ab\r\n]{1,8}"), 0..8),
        cut in 1usize..5,
        ask_every in 1u64..7,
    ) {
        let source = lines.join("\n");
        let mut output: Vec<(u64, &str)> = output.iter().map(|(when, text)| (*when, text.as_str())).collect();
        output.sort_by_key(|(when, _)| *when);
        prop_assert_eq!(typed(&source, &output, cut, ask_every), typed(&source, &output, 1000, 1));
    }

    #[test]
    fn any_text_is_a_script_or_a_list_of_mistakes(source in "(expect|send|wait|@|\"|\\\\|[0-9]|s| |\n|\\PC){0,30}") {
        if let Err(error) = Script::parse(&source) {
            prop_assert!(!error.mistakes.is_empty() && error.to_string().contains('^'));
        }
    }
}
