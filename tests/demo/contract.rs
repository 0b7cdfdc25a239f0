//! Every row of the contract, by a guest that uses it as a kernel does.

use crate::run::{Era, assert_script_done, run};

const ERAS: [Era; 2] = [Era::Linux6_4, Era::Linux7_0];

#[test]
fn boots_to_its_shell_in_both_eras() {
    for era in ERAS {
        let run = run(era, "", "expect \"minik# \"\n", |_| {});
        assert_script_done(&run);
        let release = if era == Era::Linux6_4 { "Linux version 6.4.0-minik" } else { "Linux version 7.0.0-minik" };
        assert!(run.console.contains(release), "{}", run.console);
        assert!(run.console.ends_with("minik# "), "{}", run.console);
        assert_eq!(run.events.iter().filter(|e| !e.stack().is_empty()).count(), 0);
    }
}

/// Clone, exec, signals that nest, a clone born with a signal pending, exec in a handler, traps, images that are none.
#[test]
fn user_programs_get_what_the_contract_promises() {
    for era in ERAS {
        let run =
            run(era, "", "expect \"minik# \"\nsend \"contract\\n\"\nexpect \"all \"\nexpect \"minik# \"\n", |_| {});
        assert_script_done(&run);
        let checks = run.console.lines().filter(|l| l.starts_with("contract: ") && l.ends_with(" ok")).count();
        assert!(run.console.contains(&format!("contract: all {} ok", checks - 1)), "{}", run.console);
        assert!(checks > 20);
    }
}

/// The port's console freezes after five minutes, when an idle worker releases itself: here it must not.
#[test]
fn the_console_answers_after_the_idle_workers_have_gone() {
    for era in ERAS {
        let script = "expect \"minik# \"\nsend \"ps\\n\"\nexpect \"minik# \"\nwait 330s\nsend \"uptime\\n\"\n\
                      expect \"up 33\"\nexpect \"minik# \"\n";
        let run = run(era, "", script, |_| {});
        assert_script_done(&run);
        let gone = run.events.iter().filter(
            |e| matches!(e, wkdb_tracer::Event::TaskGone { context } if context.comm.starts_with("kworker/") && context.time.0 > 300_000_000_000),
        );
        assert!(gone.count() > 0, "no kworker released itself after 300 s");
    }
}

#[test]
fn a_trap_in_a_user_program_kills_it_and_no_more() {
    for (kind, reason) in [
        ("unreachable", "wasm `unreachable` instruction executed"),
        ("div0", "integer divide by zero"),
        ("oob", "out of bounds memory access"),
        ("badcall", "undefined element"),
        ("stackoverflow", "call stack exhausted"),
    ] {
        let script = format!(
            "expect \"minik# \"\nsend \"crash {kind}\\n\"\nexpect \"Illegal instruction\"\nexpect \"minik# \"\nsend \"uptime\\n\"\nexpect \"up \"\n"
        );
        let run = run(Era::Linux7_0, "", &script, |_| {});
        assert_script_done(&run);
        let traps = run.traps();
        assert_eq!(traps.len(), 1, "{traps:?}");
        assert!(traps[0].0.contains(reason), "crash {kind}: {traps:?}");
    }
}

#[test]
fn a_trap_in_the_kernel_panics_it() {
    for kind in ["unreachable", "div0", "oob", "badcall"] {
        let script = format!("expect \"minik# \"\nsend \"ktrap {kind}\\n\"\nexpect \"never printed\"\n");
        let run = run(Era::Linux7_0, "", &script, |_| {});
        assert_eq!(run.outcome, wkdb_tracer::Outcome::Panic, "ktrap {kind}: {}", run.console);
        assert_eq!(run.traps().len(), 1, "{:?}", run.traps());
    }
}

#[test]
fn sixty_four_cpus_and_five_hundred_tasks_boot() {
    let run =
        run(Era::Linux7_0, "nr_cpus=64 tasks=500", "expect \"minik# \"\nsend \"uptime\\n\"\nexpect \"up \"\n", |_| {});
    assert_script_done(&run);
    assert!(run.totals.tasks_alive >= 500, "{} tasks", run.totals.tasks_alive);
}
