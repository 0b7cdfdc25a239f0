//! A person at the prompt.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::wkdb;

/// What the terminal shows until this appears, which must not take longer than a minute.
fn read_until(terminal: &mut File, text: &str) -> String {
    let mut shown = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&shown).contains(text) {
        let ready = poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&Timespec { tv_sec: 60, tv_nsec: 0 }));
        assert_eq!(ready, Ok(1), "no {text:?}: {:?}", String::from_utf8_lossy(&shown));
        match terminal.read(&mut byte) {
            Ok(1) => shown.push(byte[0]),
            ended => panic!("{ended:?} before {text:?}: {:?}", String::from_utf8_lossy(&shown)),
        }
    }
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn lines_are_completed_ctrl_c_stops_the_guest_and_ctrl_d_asks() {
    let pty = openpty(None, None).unwrap();
    let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    // With the terminal as its own, so that Ctrl-C becomes a signal: `setsid -c` does it.
    let program = wkdb();
    let mut command = Command::new("setsid");
    command.arg("-cw").arg(program.get_program()).args(["debug", "demo"]).env("TERM", "xterm");
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(slave(&pty.slave)).stdout(slave(&pty.slave)).stderr(slave(&pty.slave));
    let mut child = command.spawn().unwrap();
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    read_until(&mut terminal, "(wkdb) ");
    // Tab completes the command and its argument.
    terminal.write_all(b"tbre\tstart_ker\t\r").unwrap();
    read_until(&mut terminal, "Temporary breakpoint 1 at ");
    read_until(&mut terminal, "(wkdb) ");
    terminal.write_all(b"continue\r").unwrap();
    read_until(&mut terminal, "start_kernel");
    read_until(&mut terminal, "(wkdb) ");
    terminal.write_all(b"continue\r").unwrap();
    read_until(&mut terminal, "minik# ");
    terminal.write_all(b"\x03").unwrap();
    read_until(&mut terminal, "Interrupted.");
    read_until(&mut terminal, "(wkdb) ");
    terminal.write_all(b"type hello\r").unwrap();
    read_until(&mut terminal, "(wkdb) ");
    terminal.write_all(b"c\r").unwrap();
    read_until(&mut terminal, "hello from pid");
    terminal.write_all(b"\x03").unwrap();
    read_until(&mut terminal, "Interrupted.");
    read_until(&mut terminal, "(wkdb) ");
    terminal.write_all(b"\x04").unwrap();
    read_until(&mut terminal, "end it? (y or n) ");
    terminal.write_all(b"n\r").unwrap();
    read_until(&mut terminal, "(wkdb) ");
    terminal.write_all(b"\x04").unwrap();
    read_until(&mut terminal, "end it? (y or n) ");
    terminal.write_all(b"y\r").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
