//! The program as a person starts it.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::guest::{Failure, median};
use super::{INITRAMFS, MINIK};

/// What minik's shell prints when it is ready.
const PROMPT: &[u8] = b"minik# ";

/// From the start of `wkdb run` with cached code to the console's first byte, and to the shell's prompt.
pub(crate) fn second_start(rounds: usize, cache: &Path) -> Result<(Duration, Duration), Failure> {
    let (mut first_bytes, mut prompts) = (Vec::new(), Vec::new());
    for round in 0..rounds + 1 {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_wkdb"))
            .args(["run", MINIK, "--initrd", INITRAMFS, "--until", "console=minik# "])
            .env("WKDB_CACHE_DIR", cache)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut stdout = child.stdout.take().ok_or("no standard output")?;
        let (mut console, mut buffer) = (Vec::new(), [0; 4096]);
        let (mut first_byte, mut prompt) = (None, None);
        loop {
            let read = stdout.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            let now = start.elapsed();
            first_byte.get_or_insert(now);
            console.extend_from_slice(&buffer[..read]);
            if prompt.is_none() && console.windows(PROMPT.len()).any(|window| window == PROMPT) {
                prompt = Some(now);
            }
        }
        child.wait()?;
        let prompt = prompt.ok_or_else(|| format!("no prompt in {:?}", String::from_utf8_lossy(&console)))?;
        // The first round compiles.
        if round > 0 {
            first_bytes.extend(first_byte);
            prompts.push(prompt);
        }
    }
    Ok((median(first_bytes), median(prompts)))
}
