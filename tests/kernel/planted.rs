//! What the views say of minik when one of its bugs has struck.

use wkdb::demo::scene;
use wkdb_debugger::kernel::ViewKind;

use crate::seen::{Guest, Seen, only};

/// minik when its planted bug has ended the run.
fn struck(bug: &str) -> Seen {
    let scene = scene(bug).unwrap();
    Seen::after(Guest::Minik7_0, &format!("bug={bug}"), scene.script, scene.seed)
}

/// All that the views find wrong.
fn problems(seen: &mut Seen) -> Vec<String> {
    let kinds = ViewKind::ALL.iter().map(|(kind, ..)| *kind).filter(|kind| *kind != ViewKind::Address);
    let kinds: Vec<ViewKind> = kinds.collect();
    kinds
        .into_iter()
        .flat_map(|kind| seen.view(kind).problems().into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_workers_pool_that_was_overwritten_is_told() {
    let problems = problems(&mut struck("stray-write"));
    assert!(problems.iter().any(|text| text.contains("its pool is 0xffffffff")), "{problems:?}");
}

#[test]
fn a_worklist_that_leads_into_text_is_told() {
    let problems = problems(&mut struck("wq-corrupt"));
    assert!(problems.iter().any(|text| text.contains("the worklist of pool 0")), "{problems:?}");
}

#[test]
fn a_timer_wheel_that_stands_still_is_overdue_for_ever() {
    let mut seen = struck("timer-stall");
    let timers = only!(seen.view(ViewKind::Timers), Timers);
    let base = &timers.bases[0];
    assert!(base.overdue > 100 && base.lag < Some(-1000), "{base:?}");
    assert!(timers.bases[1..].iter().all(|base| base.overdue == 0), "{timers:?}");
}

#[test]
fn a_table_of_files_that_was_overwritten_is_told() {
    let problems = problems(&mut struck("fdtable"));
    assert!(problems.iter().any(|text| text.contains("its file") && text.contains("overwritten")), "{problems:?}");
}

#[test]
fn tasks_that_a_stack_has_overwritten_are_told() {
    let problems = problems(&mut struck("stack-overflow"));
    assert!(problems.iter().any(|text| text.contains("list of tasks")), "{problems:?}");
}

#[test]
fn a_task_that_sleeps_for_ever_is_where_it_waits() {
    let mut seen = struck("lost-wakeup");
    let tasks = only!(seen.view(ViewKind::Tasks), Tasks);
    let reader = tasks.tasks.iter().find(|row| row.task.comm.as_deref() == Some("ring_reader")).unwrap();
    assert_eq!((reader.state, reader.waits_in.as_deref()), (Some('D'), Some("ring_wait")), "{reader:?}");
}
