//! What lldb is told at gdb's port, and when: which modules there are, as files on this computer.

use std::path::PathBuf;
use std::sync::Arc;

use wkdb_tracer::{ModuleId, RunnerId};

use super::super::files::{BuildCompanions, Companions, Files};
use super::super::link::Farewell;
use super::fake::Fake;
use super::transcripts::Talk;
use crate::companion::layout::Layout;
use crate::inferior::{Inferior, StopReason, Who};

/// Companions that are said to lie in `/kept`.
struct Kept(BuildCompanions);

impl Companions for Kept {
    fn companion(
        &mut self,
        inferior: &mut dyn Inferior,
        layout: &Layout,
        module: ModuleId,
    ) -> Result<Option<Arc<[u8]>>, String> {
        self.0.companion(inferior, layout, module)
    }

    fn path(&mut self, module: ModuleId, shared: &[u8]) -> Option<PathBuf> {
        // A program's places would be forgotten.
        assert_eq!(shared[16..18], [3, 0], "a shared object");
        Some(PathBuf::from(format!("/kept/{}", module.0)))
    }
}

const ATTACHING: [&str; 5] =
    ["qSupported:xmlRegisters=i386", "QThreadSuffixSupported", "QListThreadsInStopReply", "qHostInfo", "qC"];

fn talk() -> Talk {
    let mut talk = Talk::new(Fake::new());
    talk.shared.files = Files::new(Box::new(Kept(BuildCompanions::default())));
    for packet in ATTACHING {
        talk.ask(packet);
    }
    talk
}

fn modules(talk: &mut Talk) -> Vec<String> {
    let list = talk.ask("qXfer:libraries:read::0,fff");
    assert!(list.starts_with("l<library-list>") && list.ends_with("</library-list>\n"), "{list}");
    list.split("name=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn all_modules_are_told_of_once_it_has_attached() {
    let mut talk = talk();
    talk.fake.load_module();
    talk.hear();
    assert!(talk.ask("?").contains("library:;"));
    // It would forget where they are.
    assert!(modules(&mut talk).is_empty());
    talk.ask("qStructuredDataPlugins");
    assert_eq!(modules(&mut talk), ["/kept/0", "/kept/1"]);
    assert!(!talk.ask("?").contains("library:;"));
}

#[test]
fn a_kernel_of_which_it_has_a_file_is_not_told_of() {
    let mut talk = talk();
    talk.fake.load_module();
    talk.hear();
    talk.ask("?");
    talk.ask("qOffsets");
    talk.ask("qStructuredDataPlugins");
    assert_eq!(modules(&mut talk), ["/kept/1"]);
}

#[test]
fn a_module_that_is_loaded_later_is_told_of_by_a_signal_at_which_it_goes_on() {
    let mut talk = talk();
    talk.ask("?");
    talk.ask("qStructuredDataPlugins");
    assert_eq!(modules(&mut talk).len(), 1);
    talk.fake.load_module();
    talk.hear();
    talk.fake.script.extend([
        StopReason::ModuleLoaded(ModuleId(1)),
        StopReason::ModuleLoaded(ModuleId(1)),
        StopReason::Step,
    ]);
    let told = talk.ask("vCont;c");
    // SIGWINCH, and no reason of its own.
    assert!(told.starts_with("T1cthread:1;") && told.contains("library:;") && !told.contains("reason:"), "{told}");
    assert_eq!(modules(&mut talk).len(), 2);
    // It gives the thread its signal. What it knows already is passed over.
    assert_eq!(talk.ask("vCont;C1c:1;c:2;c:3"), "");
    let stopped = talk.hear();
    assert!(stopped.starts_with("T05thread:1;") && !stopped.contains("library:;"), "{stopped}");
    assert_eq!(talk.fake.resumed.len(), 3);
    assert!(talk.fake.resumed.iter().all(|resume| *resume == crate::inferior::Resume::go()), "{:?}", talk.fake.resumed);
}

#[test]
fn code_reads_as_returns_so_that_it_steps_by_instructions() {
    let mut talk = talk();
    let code = talk.fake.address(0, 0);
    assert_eq!(talk.ask(&format!("m{code:x},4")), "c3c3c3c3");
    // No more of them than there is code; and memory is as it is.
    let len = talk.ask(&format!("m{code:x},ffff")).len();
    assert_eq!(talk.ask(&format!("m{code:x},ffff")), "c3".repeat(len / 2));
    assert!(len > 8 && len < 0x4000, "{len}");
    assert!(!talk.ask("m40,4").contains("c3"));
}

#[test]
fn a_step_lets_the_others_run_and_one_that_continues_alone_does_not() {
    let mut talk = talk();
    let mut who = |packet: &str| {
        talk.fake.script.push_back(StopReason::Step);
        talk.ask(packet);
        talk.fake.resumed.pop().expect("it went on").who
    };
    assert_eq!(who("vCont;s:2"), Who::All);
    assert_eq!(who("vCont;c:2"), Who::Only(RunnerId(1)));
}

#[test]
fn a_kill_is_answered() {
    let mut talk = talk();
    assert_eq!(talk.ask("k"), "X09");
    assert_eq!(talk.farewell, Some(Farewell::Kill));
}
