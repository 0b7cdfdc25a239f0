//! What a kernel says about itself when something is wrong with it, found among what it prints.

/// How a kernel's own words about its state begin, and what else the line has to contain. From Linux 6.12: hung tasks
/// (kernel/hung_task.c), soft and hard lockups (kernel/watchdog.c), RCU stalls (kernel/rcu/tree_stall.h), `WARN` and `BUG`
/// (kernel/panic.c, lib/bug.c), corrupted lists and counts (lib/list_debug.c, lib/refcount.c), faults and oopses, and
/// the sanitizers.
const COMPLAINTS: &[(&str, &str)] = &[
    ("INFO: task ", " blocked for more than "),
    ("INFO: rcu", "stall"),
    ("rcu: INFO: ", "stall"),
    ("BUG: ", ""),
    ("watchdog: BUG: ", ""),
    ("watchdog: CPU", "hard LOCKUP"),
    ("kernel BUG at ", ""),
    ("WARNING: ", ""),
    ("Oops", ""),
    ("Internal error: ", ""),
    ("general protection fault", ""),
    ("Unable to handle kernel ", ""),
    ("Kernel panic - not syncing", ""),
    ("UBSAN: ", ""),
    ("list_add corruption", ""),
    ("list_del corruption", ""),
    ("refcount_t: ", ""),
];

/// Bytes of a line that are kept: no complaint is longer.
const MAX_LINE: usize = 512;

/// Cuts what is printed into lines, and knows which of them tell of something wrong.
#[derive(Debug, Clone, Default)]
pub struct ConsoleWatch {
    line: Vec<u8>,
    /// Texts that tell of something wrong wherever they are in a line.
    listen_for: Vec<String>,
}

impl ConsoleWatch {
    /// One that also listens for these texts.
    pub fn new(listen_for: &[String]) -> Self {
        ConsoleWatch { line: Vec::new(), listen_for: listen_for.to_vec() }
    }

    /// The guest printed this. Gives the lines that tell of something wrong, without what the kernel puts before its
    /// messages.
    pub fn printed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut wrong = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_LINE - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                wrong.extend(self.end());
            }
        }
        wrong
    }

    /// No more will be printed: the last line, if it tells of something wrong.
    pub fn end(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let listened_for = self.listen_for.iter().any(|text| line.contains(text.as_str()));
        let message = message(line.trim_matches(['\r', '\n', ' ']));
        let complains = |(begin, then): &(&str, &str)| message.starts_with(begin) && message.contains(then);
        (listened_for || COMPLAINTS.iter().any(complains)).then(|| message.to_owned())
    }
}

/// The kernel's message in a line: what is behind its time and caller (`[   12.345678][ T1] `), which may be behind a
/// prompt; the line itself, without a level (`<6>`), if it has no time.
fn message(line: &str) -> &str {
    let stamped = line.match_indices('[').rev().find_map(|(at, _)| {
        let (inside, after) = line[at + 1..].split_once(']')?;
        is_time(inside).then_some(after)
    });
    let rest = stamped.unwrap_or_else(|| match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((level, after)) if is_number(level) => after,
        _ => line,
    });
    let caller = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match caller.map(|(caller, after)| (caller.trim_start(), after)) {
        // A task or a CPU.
        Some((caller, after)) if caller.strip_prefix(['T', 'C']).is_some_and(is_number) => after.trim_start(),
        _ => rest.trim_start(),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `   12.345678`.
fn is_time(text: &str) -> bool {
    let parts = text.trim_start_matches(' ').split_once('.');
    parts.is_some_and(|(seconds, fraction)| is_number(seconds) && fraction.len() == 6 && is_number(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_complains_is_heard_however_its_lines_are_cut() {
        let text = "[    0.000001] Linux version 6.12\r\n\
                    <6>[  130.500000][   T12] INFO: task sh:12 blocked for more than 120 seconds.\r\n\
                    # echo BUG: no\nsome BUG: in the middle\n\
                    minik# [  150.880001] INFO: task ring_reader:16 blocked for more than 120 seconds.\r\n\
                    <0>BUG: sleeping function called\n[    3.000000] WARNING: CPU: 0 PID: 1 at kernel/x.c:1";
        let expected = [
            "INFO: task sh:12 blocked for more than 120 seconds.",
            "INFO: task ring_reader:16 blocked for more than 120 seconds.",
            "BUG: sleeping function called",
            "WARNING: CPU: 0 PID: 1 at kernel/x.c:1",
        ];
        for size in [1, 7, 1000] {
            let mut watch = ConsoleWatch::default();
            let mut heard: Vec<_> = text.as_bytes().chunks(size).flat_map(|part| watch.printed(part)).collect();
            heard.extend(watch.end());
            assert_eq!(heard, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_was_asked_for_is_heard_anywhere_in_a_line() {
        let mut watch = ConsoleWatch::new(&["not ok".to_owned()]);
        assert_eq!(watch.printed(b"ok 1\n  not ok 2 - list\n"), ["not ok 2 - list"]);
        assert_eq!(watch.printed(b"INFO: task list follows\nBUG"), [""; 0]);
        assert_eq!(watch.printed(b": x\n"), ["BUG: x"], "the kernel's own words all the same");
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut watch = ConsoleWatch::default();
        for _ in 0..1000 {
            assert!(watch.printed(&[b'x'; 10_000]).is_empty());
        }
        assert!(watch.line.capacity() <= 4 * MAX_LINE);
        assert!(watch.printed(b"\nOops: 0000\n") == ["Oops: 0000"]);
    }
}
