//! Written transcripts: how the guest is started, what a person types at a debugger, and lines of what it answers.
//!
//! ```text
//! # wkdb demo --gdb-wait
//! (gdb) tbreak start_kernel
//! Temporary breakpoint 1 at …
//! ```
//!
//! A second line `# when the console shows TEXT` lets the guest run until then. `{port}` in a command is the port that the
//! guest waits at.

use std::path::Path;

use crate::debuggers::assert_lines;
use crate::guest::Guest;
use crate::sessions::fixture;

/// A command and lines of what it prints.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// A transcript; see the module.
pub(crate) struct Transcript {
    name: String,
    text: String,
}

impl Transcript {
    /// The one of this name in a folder beside this file.
    pub(crate) fn read(folder: &str, name: &str) -> Transcript {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb").join(folder).join(name);
        let text = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        Transcript { name: name.to_owned(), text }
    }

    /// What a line says that begins with `# ` and these words.
    pub(crate) fn header(&self, words: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(words))
    }

    /// Starts the guest with a port for debuggers of an option, and waits until it is where the transcript begins.
    pub(crate) fn start(&self, option: &str) -> Guest {
        let arguments = self.header("wkdb ").expect("the first line says how the guest is started");
        let guest = Guest::start_for(option, &with_fixtures(arguments));
        if let Some(text) = self.header("when the console shows ") {
            guest.shows(text);
            guest.comes_to_rest();
        }
        guest
    }

    fn steps(&self, prompt: &str, port: u16) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for line in self.text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty()) {
            match (line.strip_prefix(prompt), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.replace("{port}", &port.to_string()), expected: Vec::new() });
                }
                (None, Some(step)) => step.expected.push(line.to_owned()),
                (None, None) => panic!("{}: a line before the first command: {line}", self.name),
            }
        }
        steps
    }

    /// What is typed behind this prompt.
    pub(crate) fn commands(&self, prompt: &str, port: u16) -> Vec<String> {
        self.steps(prompt, port).into_iter().map(|step| step.command).collect()
    }

    /// Checks that a debugger, which prints its prompt and the command before what that prints, answered so.
    pub(crate) fn check(&self, prompt: &str, port: u16, whole: &str, who: &str) {
        let steps = self.steps(prompt, port);
        let mut rest = whole;
        for (n, step) in steps.iter().enumerate() {
            let echo = |step: &Step| format!("{prompt}{}\n", step.command);
            let (_, after) = rest
                .split_once(&echo(step))
                .unwrap_or_else(|| panic!("{}, {who}: it did not come to `{}`:\n{whole}", self.name, step.command));
            let end = steps.get(n + 1).and_then(|next| after.find(&echo(next)));
            let answer = &after[..end.unwrap_or(after.len())];
            let expected: Vec<&str> = step.expected.iter().map(String::as_str).collect();
            assert_lines(answer, &expected, &format!("{}, {who}: {}\n{whole}", self.name, step.command));
            rest = after;
        }
    }
}

/// `{NAME}` stands for a fixture, `{initramfs}` for the demo guest's programs.
fn with_fixtures(arguments: &str) -> String {
    let word = |word: &str| match word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some("initramfs") => concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/initramfs.cpio").to_owned(),
        Some(name) => fixture(name).display().to_string(),
        None => word.to_owned(),
    };
    arguments.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Checks that each file in a folder is the transcript of a test.
pub(crate) fn assert_all_played(folder: &str, tests: &[&str]) {
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb").join(folder)).unwrap() {
        let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(tests.contains(&name.as_str()), "{name}.txt is no test");
    }
}
