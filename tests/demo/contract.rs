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

/// Clone, exec, signals that nest, a clone born with a signal pending, exec in a handler, traps, images that are none:
/// alone on a CPU and sharing one.
#[test]
fn user_programs_get_what_the_contract_promises() {
    for era in ERAS {
        for cpus in [1, 2, 4, 64] {
            let script = "expect \"minik# \"\nsend \"contract\\n\"\nexpect \"all \"\nexpect \"minik# \"\n";
            let run = run(era, &format!("nr_cpus={cpus}"), script, |_| {});
            assert_script_done(&run);
            let checks = run.console.lines().filter(|l| l.starts_with("contract: ") && l.ends_with(" ok")).count();
            assert!(run.console.contains(&format!("contract: all {} ok", checks - 1)), "{}", run.console);
            assert!(checks > 20);
        }
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
        ("wrongtype", "type mismatch"),
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
    for kind in ["unreachable", "div0", "oob", "badcall", "wrongtype", "stackoverflow"] {
        let script = format!("expect \"minik# \"\nsend \"ktrap {kind}\\n\"\nexpect \"never printed\"\n");
        let run = run(Era::Linux7_0, "", &script, |_| {});
        assert_eq!(run.outcome, wkdb_tracer::Outcome::Panic, "ktrap {kind}: {}", run.console);
        assert_eq!(run.traps().len(), 1, "{:?}", run.traps());
    }
}

#[test]
fn sixty_four_cpus_and_five_hundred_tasks() {
    let script = "expect \"minik# \"\nsend \"uptime\\r\"\nexpect \"64 CPUs online\"\nexpect \"minik# \"\n\
                  send \"stress 100 5\\r\"\nexpect \"counter 500: ok\"\n";
    for era in ERAS {
        let run = run(era, "nr_cpus=64 tasks=500", script, |_| {});
        assert_script_done(&run);
        assert!(run.totals.tasks_alive >= 500, "{} tasks", run.totals.tasks_alive);
    }
}

/// On a stack that is no stack, a panic cannot be trusted: the kernel stops CPU 0 instead.
#[test]
fn a_trap_off_the_stack_stops_cpu_0() {
    let script = "expect \"minik# \"\nsend \"ktrap offstack\\r\"\nwait 5s\n";
    let run = run(Era::Linux6_4, "nr_cpus=4", script, |_| {});
    assert_eq!(run.outcome, wkdb_tracer::Outcome::Panic, "{}", run.console);
    assert!(run.console.contains("is broken (sp "), "{}", run.console);
}

/// A CPU goes off line, which destroys its runner, and comes back with a new one.
#[test]
fn a_cpu_goes_and_comes_back() {
    for era in ERAS {
        let script = "expect \"minik# \"\nsend \"cpu up 5\\r\"\nexpect \"CPU5 online\"\nexpect \"minik# \"\n\
                      send \"cpu down 5\\r\"\nexpect \"CPU5 offline\"\nexpect \"minik# \"\n\
                      send \"cpu up 5\\r\"\nexpect \"CPU5 online\"\nexpect \"minik# \"\n\
                      send \"stress 8 8\\r\"\nexpect \"counter 64: ok\"\nexpect \"minik# \"\n";
        assert_script_done(&run(era, "nr_cpus=6", script, |_| {}));
    }
}
