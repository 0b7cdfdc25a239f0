//! The open files of a task.

use serde::Serialize;

use super::text::{cell, plain, styled, tell_problems};
use super::{Kernel, Now, Object, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};

/// Descriptors of a task that are looked at. Larger tables are a number that was overwritten.
const MAX_FDS: u64 = 65_536;

/// Directories on the way to a file, mounts too.
const MAX_DEPTH: usize = 256;

/// An open file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FdRow {
    /// Its descriptor.
    pub fd: u64,
    /// Its `file`.
    pub address: u64,
    /// Its path, or what it is in brackets, as in /proc/PID/fd.
    pub path: Option<String>,
    /// The variable with its operations: what kind of file it is.
    pub operations: Option<String>,
    /// Where in it is read and written next.
    pub position: Option<i64>,
    /// What it was opened with (`O_…`).
    pub flags: Option<u64>,
    /// How many have it open.
    pub count: Option<i64>,
}

/// The open files of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FdsView {
    /// When.
    pub now: Now,
    /// Whose.
    pub task: TaskRef,
    /// Its `files_struct`; `None` for a task that is about to be gone.
    pub files: Option<u64>,
    /// By descriptor.
    pub fds: Vec<FdRow>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl<'i> Kernel<'i> {
    /// A directory entry's path, through the mounts that it is in.
    fn path(&self, dentry: Object<'_, 'i>, mount: Option<Object<'_, 'i>>) -> Option<String> {
        let mut names: Vec<String> = Vec::new();
        let mut dentry = dentry;
        // What lies in a `struct mount` is all that a file knows of where it is mounted.
        let mut mount = mount.and_then(|mount| self.container("struct mount", "mnt", mount.address()));
        for _ in 0..MAX_DEPTH {
            let root = mount.as_ref().and_then(|mount| mount.u("mnt.mnt_root"));
            if root == Some(dentry.address()) {
                let inner = mount?;
                let parent = inner.follow("mnt_parent")?;
                if parent.address() == inner.address() {
                    break;
                }
                dentry = inner.follow("mnt_mountpoint")?;
                mount = Some(parent);
                continue;
            }
            let parent = dentry.follow("d_parent")?;
            if parent.address() == dentry.address() {
                break;
            }
            names.push(dentry.member_of(&["d_name.name", "__d_name.name"])?.text(256)?);
            dentry = parent;
        }
        names.reverse();
        Some(format!("/{}", names.join("/")))
    }

    /// What /proc/PID/fd says of a file that is in no directory.
    fn nameless(&self, file: &Object<'_, 'i>, dentry: &Object<'_, 'i>) -> Option<String> {
        let inode = file.follow("f_inode")?;
        let number = inode.u("i_ino")?;
        match inode.follow("i_sb")?.follow("s_type")?.name("name")?.as_str() {
            "pipefs" => Some(format!("pipe:[{number}]")),
            "sockfs" => Some(format!("socket:[{number}]")),
            "anon_inodefs" => {
                Some(format!("anon_inode:{}", dentry.member_of(&["d_name.name", "__d_name.name"])?.text(64)?))
            }
            _ => None,
        }
    }

    /// The path of an open file.
    pub(super) fn file_path(&self, file: &Object<'_, 'i>) -> Option<String> {
        if let Some(dentry) = file.member("f_path.dentry") {
            let dentry = dentry.target()?;
            return self.nameless(file, &dentry).or_else(|| self.path(dentry, file.follow("f_path.mnt")));
        }
        // minik: inodes have names themselves; those of pipes have none.
        let mut inode = file.follow("f_inode")?;
        let mut names = Vec::new();
        for _ in 0..MAX_DEPTH {
            let name = inode.name("i_name")?;
            match inode.follow("i_parent") {
                Some(parent) if parent.address() != inode.address() => {
                    names.push(name);
                    inode = parent;
                }
                _ if names.is_empty() && name.is_empty() => return None,
                _ => break,
            }
        }
        names.reverse();
        Some(format!("/{}", names.join("/")))
    }

    fn fd_row(&self, fd: u64, file: &Object<'_, 'i>) -> FdRow {
        let operations = file.u("f_op").filter(|&address| address != 0);
        FdRow {
            fd,
            address: file.address(),
            path: self.file_path(file),
            operations: operations.map(|address| self.symbol(address).unwrap_or_else(|| format!("{address:#x}?"))),
            position: file.i("f_pos"),
            flags: file.u("f_flags"),
            // From 6.13 on, one less is kept than there are.
            count: file.i("f_count").or_else(|| file.i("f_ref")?.checked_add(1)),
        }
    }

    /// The open files of a task.
    pub fn fds(&self, task: &Object<'_, 'i>) -> FdsView {
        let who = self.task_ref(task);
        let files = task.follow("files");
        let mut fds = Vec::new();
        if let Some(table) = files.as_ref().and_then(|files| files.follow("fdt")) {
            let room = table.u("max_fds").unwrap_or(0);
            if room > MAX_FDS {
                self.problem(format!("{who}: its table of files says that it has room for {room}"));
            }
            let pointers = table.u("fd").filter(|&pointers| pointers >= super::LOWEST);
            for fd in 0..room.min(MAX_FDS) {
                let Some(pointers) = pointers.filter(|_| self.step()) else { break };
                let at = pointers.wrapping_add(fd * self.word()) & self.address_mask();
                let Some(address) = self.memory.unsigned(at, self.word()) else {
                    self.problem(format!("{who}: there is no memory where its table of files should be, at {at:#x}"));
                    break;
                };
                if address == 0 {
                    continue;
                }
                match self.object("struct file", address) {
                    Some(file) => fds.push(self.fd_row(fd, &file)),
                    None => self.problem(format!("{who}: its file {fd} is overwritten: {address:#x} at {at:#x}")),
                }
            }
        }
        let files = files.map(|files| files.address());
        FdsView { now: self.now(), task: who, files, fds, problems: self.take_problems() }
    }
}

impl FdsView {
    /// Whether there are open files, or problems.
    pub fn says_something(&self) -> bool {
        !self.fds.is_empty() || !self.problems.is_empty()
    }

    /// As a table.
    pub fn text(&self) -> Output {
        let mut out = Output::from("files of ");
        out.mark(Style::Task, self.task.to_string());
        match self.files {
            Some(files) => out.line(format!(", files_struct {files:#x}")),
            None => out.line(": none"),
        };
        if !self.fds.is_empty() {
            let mut table = Table::new([" FD", "File", "Position", "Flags", "Count", "Operations", "Path"]);
            for row in &self.fds {
                table.row([
                    plain(format!("{:>3}", row.fd)),
                    styled(format!("{:#x}", row.address), Style::Address),
                    cell(row.position),
                    cell(row.flags.map(|flags| format!("{flags:#o}"))),
                    cell(row.count),
                    cell(row.operations.clone()),
                    plain(row.path.as_deref().unwrap_or("?")),
                ]);
            }
            out.append(&table.into_output());
        }
        tell_problems(&mut out, &self.problems);
        out
    }
}
