//! A person at a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::program::{echo, wkdb};

/// What the terminal shows until this appears.
fn read_until(terminal: &mut File, text: &str) -> String {
    let mut shown = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&shown).contains(text) {
        match terminal.read(&mut byte) {
            Ok(1) => shown.push(byte[0]),
            ended => panic!("{ended:?} before {text:?}: {:?}", String::from_utf8_lossy(&shown)),
        }
    }
    String::from_utf8(shown).unwrap()
}

#[test]
fn keys_go_to_the_guest_and_ctrl_a_x_leaves() {
    let kernel = echo();
    let pty = openpty(None, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    assert!(before.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO));
    let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut child = wkdb()
        .arg("run")
        .arg(kernel.path())
        .stdin(slave(&pty.slave))
        .stdout(slave(&pty.slave))
        .stderr(slave(&pty.slave))
        .spawn()
        .unwrap();
    let mut terminal = File::from(pty.master);
    let shown = read_until(&mut terminal, "hello");
    assert!(shown.contains("wkdb: Ctrl-A x leaves\r\n"), "{shown:?}");
    assert!(
        !tcgetattr(&pty.slave)
            .unwrap()
            .local_flags
            .intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    );
    // Ctrl-C is the guest's; it comes back because the guest repeats it, once because nobody else does.
    terminal.write_all(b"ls\x03;").unwrap();
    let shown = read_until(&mut terminal, ";");
    assert_eq!(shown.trim_start_matches(['\r', '\n']), "ls\x03;");
    terminal.write_all(b"\x01").unwrap();
    terminal.write_all(b"x").unwrap();
    let shown = read_until(&mut terminal, "CPUs, seed 0\r\n");
    assert!(shown.contains("\r\nwkdb: left\r\n"), "{shown:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(tcgetattr(&pty.slave).unwrap().local_flags, before.local_flags, "the terminal is given back");
}
