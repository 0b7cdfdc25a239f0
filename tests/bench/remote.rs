//! What a debugger waits for at its end of the connection: attaching, a stack, steps; and what bounds the steps.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::guest::{Failure, median};
use super::line;

/// Steps, and questions, for a measurement.
const TURNS: u32 = 3000;
/// The register that has the frame's address, by gdb's number.
const FRAME_POINTER: &str = "p5";
/// Where the outermost function returns to.
const HOST: u32 = 0xefff_f008;

/// A guest that a debugger can come to.
struct Guest {
    child: Child,
    port: u16,
}

impl Guest {
    /// Starts one; it has come to its prompt.
    fn start(arguments: &[&str], prompt: &str, cache: &Path) -> Result<Guest, Failure> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wkdb"))
            .args(arguments)
            .args(["--gdb", "0", "--pace", "warp", "--no-record"])
            .env("WKDB_CACHE_DIR", cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take().ok_or("no output")?, child.stderr.take().ok_or("no messages")?);
        let mut guest = Guest { child, port: 0 };
        let mut messages = BufReader::new(stderr).lines();
        let told = messages.find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting for a debugger")));
        let told = told.ok_or("no port is told")??;
        guest.port = told.rsplit(':').next().unwrap_or_default().trim_end_matches('\'').parse()?;
        // Nobody reads the rest, but it has to go somewhere.
        std::thread::spawn(move || messages.for_each(drop));
        let (mut stdout, mut console, mut byte) = (BufReader::new(stdout), Vec::new(), [0]);
        while !console.ends_with(prompt.as_bytes()) {
            stdout.read_exact(&mut byte)?;
            console.push(byte[0]);
        }
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(guest)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The machine process goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client's end.
struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects; the machine stops for it.
    fn attach(port: u16) -> Result<Client, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(600)))?;
        let mut client = Client { stream, unread: Vec::new() };
        client.ask("QStartNoAckMode")?;
        client.stream.write_all(b"+")?;
        match client.ask("?")? {
            stop if stop.starts_with('T') => Ok(client),
            other => Err(format!("no stop: {other}").into()),
        }
    }

    fn ask(&mut self, body: &str) -> Result<String, Failure> {
        self.send(body)?;
        self.hear()
    }

    fn send(&mut self, body: &str) -> Result<(), Failure> {
        let sum = body.bytes().fold(0_u8, u8::wrapping_add);
        Ok(self.stream.write_all(format!("${body}#{sum:02x}").as_bytes())?)
    }

    /// Lets the guest run and stops it, some times: the longest that it took from Ctrl-C to the stop, and the thread that
    /// ran at the last one.
    fn interrupts(&mut self) -> Result<(Duration, String), Failure> {
        let (mut longest, mut thread) = (Duration::ZERO, None);
        for _ in 0..20 {
            self.send("vCont;c")?;
            std::thread::sleep(Duration::from_millis(20));
            let start = Instant::now();
            self.stream.write_all(&[3])?;
            match self.hear()? {
                stop if stop.starts_with("T02") => {
                    longest = longest.max(start.elapsed());
                    let told = stop.split("thread:").nth(1).and_then(|rest| rest.split(';').next());
                    thread = told.map(str::to_owned);
                }
                other => return Err(format!("no stop: {other}").into()),
            }
        }
        Ok((longest, thread.ok_or("no thread is told")?))
    }

    fn hear(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(start) = self.unread.iter().position(|&byte| byte == b'$')
                && let Some(len) = self.unread[start..].iter().position(|&byte| byte == b'#')
                && self.unread.len() >= start + len + 3
            {
                let reply = String::from_utf8_lossy(&self.unread[start + 1..start + len]).into_owned();
                self.unread.drain(..start + len + 3);
                // What else is a message for a person.
                if !reply.starts_with('O') || reply == "OK" {
                    return Ok(reply);
                }
                continue;
            }
            let mut buffer = [0; 0x4000];
            match self.stream.read(&mut buffer)? {
                0 => return Err("the server hung up".into()),
                read => self.unread.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn word(&mut self, question: &str) -> Result<u32, Failure> {
        Ok(u32::from_str_radix(&self.ask(question)?, 16)?.swap_bytes())
    }

    /// Walks a thread's stack as gdb does, frame by frame; how many there are.
    fn walk(&mut self, thread: &str) -> Result<u32, Failure> {
        self.ask(&format!("Hg{thread}"))?;
        let mut frame = self.word(FRAME_POINTER)?;
        let mut frames = 1;
        while self.word(&format!("m{:x},4", frame.wrapping_sub(4)))? != HOST {
            frame = self.word(&format!("m{:x},4", frame.wrapping_sub(8)))?;
            frames += 1;
        }
        Ok(frames)
    }

    /// How often a second something is asked and answered.
    fn rate(&mut self, question: &str) -> Result<f64, Failure> {
        let start = Instant::now();
        for _ in 0..TURNS {
            self.ask(question)?;
        }
        Ok(f64::from(TURNS) / start.elapsed().as_secs_f64())
    }
}

/// Measures a guest from outside; `work` is a command that keeps it busy for long.
pub(crate) fn measure(
    what: &str,
    arguments: &[&str],
    prompt: &str,
    work: &str,
    rounds: usize,
    cache: &Path,
) -> Result<(), Failure> {
    // The first one compiles the code for debugging.
    drop(Client::attach(Guest::start(arguments, prompt, cache)?.port)?);
    let mut attached = Vec::new();
    for _ in 1..rounds {
        let guest = Guest::start(arguments, prompt, cache)?;
        let start = Instant::now();
        let _client = Client::attach(guest.port)?;
        attached.push(start.elapsed());
    }
    let mut guest = Guest::start(arguments, prompt, cache)?;
    let start = Instant::now();
    let mut client = Client::attach(guest.port)?;
    attached.push(start.elapsed());
    line(&format!("{what}: attach to the running guest"), "", &format!("{:.0?}", median(attached)));

    let threads = client.ask("qfThreadInfo")?;
    let mut walks = Vec::new();
    for thread in threads.trim_start_matches('m').split(',') {
        let start = Instant::now();
        let frames = client.walk(thread)?;
        walks.push((frames, start.elapsed()));
    }
    let (frames, took) = walks.into_iter().max_by_key(|&(frames, _)| frames).ok_or("no threads")?;
    let of_ten = took * 10 / frames;
    let measured = format!("{:.1?} for {frames} frames: {:.1?} for 10", took, of_ten);
    line(&format!("{what}: the deepest stack, walked over the connection"), "≤ 20 ms", &measured);

    // An idle guest may have no step to make for hours of its time.
    writeln!(guest.child.stdin.as_mut().ok_or("no input")?, "{work}")?;
    let (longest, thread) = client.interrupts()?;
    line(&format!("{what}: Ctrl-C to the stop, the longest of 20"), "≤ 100 ms", &format!("{longest:.1?}"));

    let steps = client.rate(&format!("vCont;s:{thread};c"))?;
    // Answered by the server alone: what a way to it and back costs.
    let answers = client.rate("qC")?;
    // A look into guest memory is one more way, to the machine's process and back.
    let looks = client.rate("m400,4")?;
    let micros = |rate: f64| 1e6 / rate;
    let measured = format!(
        "{steps:.0}; {:.0} µs each, of these {:.0} µs to the server and back, {:.0} µs to the machine and back",
        micros(steps),
        micros(answers),
        micros(looks) - micros(answers),
    );
    line(&format!("{what}: stepi a second over the connection"), "≥ 10 000", &measured);
    Ok(())
}
