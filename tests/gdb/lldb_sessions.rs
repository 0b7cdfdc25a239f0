//! The transcripts in `lldb`: at the port that gdb comes to, without a file or a setting; and, where a line says `# at
//! --lldb`, as lldb's own Wasm.

use crate::debuggers::{lldb, lldb_attaches, lldb_session};
use crate::transcript::{Transcript, assert_all_played};

const PROMPT: &str = "(lldb) ";

fn play(name: &str) {
    let Some(program) = lldb() else { return };
    let transcript = Transcript::read("lldb", name);
    let option = if transcript.header("at --lldb").is_some() { "--lldb" } else { "--gdb" };
    let guest = transcript.start(option);
    let port = guest.port;
    let said = lldb_session(&program, &lldb_attaches(option, port), &transcript.commands(PROMPT, port));
    transcript.check(PROMPT, port, &said, &program.display().to_string());
}

macro_rules! sessions {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        $($(#[doc = $doc])* #[test] fn $name() {
            play(stringify!($name));
        })*

        #[test]
        fn every_transcript_is_played() {
            assert_all_played("lldb", &[$(stringify!($name)),*]);
        }
    };
}

sessions! {
    /// The same looks at the demo guest without and with more optimisation.
    level0;
    level2;
    linux;
    /// lldb's own Wasm.
    native_level0;
    native_level2;
    crowd;
    user;
    conditions;
    monitor;
    bug;
    /// Addresses of 64 bits: x86-64.
    wasm64_level0;
    wasm64_level2;
}
