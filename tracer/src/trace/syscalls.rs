//! System calls by number: names, what their arguments are, and how they are written.
//!
//! The numbers are those of Linux' generic table (`asm-generic/unistd.h`), which ports without one of their own use.

use std::fmt::Write;

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signed number.
    Int,
    /// An address, or flags without names.
    Hex,
    /// A mode, in octal.
    Octal,
    /// A file descriptor.
    Fd,
    /// One that paths are relative to.
    DirFd,
    /// A C string that the call reads.
    Path,
    /// Bytes that the call reads: as many as the next argument says.
    Buffer,
    /// Flags of `open`.
    OpenFlags,
    /// A signal.
    Signal,
}

/// A system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syscall {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, a letter each: see [`Syscall::kinds`].
    kinds: &'static str,
}

/// Most bytes of a string or a buffer that a trace keeps.
pub const MAX_DATA: usize = 64;

impl Syscall {
    /// The system call of this number, if it has a name.
    pub fn of(number: u32) -> Option<Syscall> {
        let at = TABLE.binary_search_by_key(&number, |(number, ..)| *number).ok()?;
        let (_, name, kinds) = TABLE[at];
        Some(Syscall { name, kinds })
    }

    /// What its arguments are.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.chars().map(|letter| match letter {
            'd' => Kind::Int,
            'o' => Kind::Octal,
            'f' => Kind::Fd,
            '@' => Kind::DirFd,
            'p' => Kind::Path,
            'b' => Kind::Buffer,
            'O' => Kind::OpenFlags,
            's' => Kind::Signal,
            _ => Kind::Hex,
        })
    }
}

/// The name of a system call; `syscall_N` of one that has none.
pub fn name(number: u32) -> String {
    Syscall::of(number).map_or_else(|| format!("syscall_{number}"), |call| call.name.to_owned())
}

/// The arguments as C would have them. `data` is what the arguments that are [`Kind::Path`] or [`Kind::Buffer`] point at.
pub fn arguments(number: u32, args: &[u64], data: &[Vec<u8>]) -> String {
    let mut data = data.iter();
    let call = Syscall::of(number);
    let mut text = String::new();
    let kinds: Vec<Kind> = match &call {
        Some(call) => call.kinds().take(args.len()).collect(),
        None => vec![Kind::Hex; args.len()],
    };
    for (n, (kind, &arg)) in kinds.iter().zip(args).enumerate() {
        if n > 0 {
            text += ", ";
        }
        // Of a 32-bit kernel the arguments are sign-extended.
        let int = arg as i64;
        let short = if int < 0 && i32::try_from(int).is_ok() { u64::from(arg as u32) } else { arg };
        let written = match kind {
            Kind::Int | Kind::Fd => write!(text, "{int}"),
            Kind::DirFd if int == -100 => write!(text, "AT_FDCWD"),
            Kind::DirFd => write!(text, "{int}"),
            Kind::Hex if short == 0 => write!(text, "0"),
            Kind::Hex => write!(text, "{short:#x}"),
            Kind::Octal => write!(text, "{short:#o}"),
            Kind::OpenFlags => write!(text, "{}", open_flags(short)),
            Kind::Signal => write!(text, "{}", signal(int)),
            Kind::Path => match data.next() {
                Some(bytes) => write!(text, "{}", quoted(bytes, bytes.len() >= MAX_DATA)),
                None => write!(text, "{short:#x}"),
            },
            Kind::Buffer => match data.next() {
                Some(bytes) => {
                    let len = args.get(n + 1).copied().unwrap_or(0);
                    write!(text, "{}", quoted(bytes, len > bytes.len() as u64))
                }
                None => write!(text, "{short:#x}"),
            },
        };
        // A string can always be written to.
        let _ = written;
    }
    text
}

/// What a system call returned: an error by its name.
pub fn result(value: u64) -> String {
    let value = value as i64;
    if (-4095..0).contains(&value) {
        let errno = (-value) as usize;
        return match ERRNO.get(errno - 1).filter(|name| !name.is_empty()) {
            Some(name) => format!("-1 {name}"),
            None => format!("-1 errno {errno}"),
        };
    }
    match value {
        0..0x10000 => value.to_string(),
        _ if i32::try_from(value).is_ok() => format!("{:#x}", value as u32),
        _ => format!("{value:#x}"),
    }
}

fn quoted(bytes: &[u8], more: bool) -> String {
    format!("\"{}\"{}", bytes.escape_ascii(), if more { "…" } else { "" })
}

fn open_flags(flags: u64) -> String {
    const NAMES: [(u64, &str); 11] = [
        (0o100, "O_CREAT"),
        (0o200, "O_EXCL"),
        (0o400, "O_NOCTTY"),
        (0o1000, "O_TRUNC"),
        (0o2000, "O_APPEND"),
        (0o4000, "O_NONBLOCK"),
        (0o10000, "O_DSYNC"),
        (0o100_000, "O_LARGEFILE"),
        (0o200_000, "O_DIRECTORY"),
        (0o400_000, "O_NOFOLLOW"),
        (0o2_000_000, "O_CLOEXEC"),
    ];
    let mut text = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][(flags & 3) as usize].to_owned();
    let mut rest = flags & !3;
    for (bits, name) in NAMES {
        if rest & bits == bits {
            rest &= !bits;
            text += "|";
            text += name;
        }
    }
    if rest != 0 {
        let _ = write!(text, "|{rest:#o}");
    }
    text
}

fn signal(number: i64) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number - 1).ok().and_then(|at| NAMES.get(at));
    name.map_or_else(|| number.to_string(), |name| format!("SIG{name}"))
}

/// Names of errors from 1 on (`asm-generic/errno.h`).
#[rustfmt::skip]
const ERRNO: [&str; 133] = [
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM",
    "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE",
    "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE",
    "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP", "", "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC",
    "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO", "EBADRQC",
    "EBADSLT", "", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE", "ENOLINK", "EADV",
    "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG",
    "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK",
    "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP",
    "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ENETRESET",
    "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN", "ETOOMANYREFS", "ETIMEDOUT",
    "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE", "EUCLEAN", "ENOTNAM", "ENAVAIL",
    "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED",
    "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
];

/// Numbers, names, arguments; ascending.
#[rustfmt::skip]
const TABLE: &[(u32, &str, &str)] = &[
    (0, "io_setup", "dx"), (1, "io_destroy", "x"), (2, "io_submit", "xdx"), (3, "io_cancel", "xxx"),
    (4, "io_getevents", "xddxx"), (5, "setxattr", "ppxdx"), (6, "lsetxattr", "ppxdx"), (7, "fsetxattr", "fpxdx"),
    (8, "getxattr", "ppxd"), (9, "lgetxattr", "ppxd"), (10, "fgetxattr", "fpxd"), (11, "listxattr", "pxd"),
    (12, "llistxattr", "pxd"), (13, "flistxattr", "fxd"), (14, "removexattr", "pp"), (15, "lremovexattr", "pp"),
    (16, "fremovexattr", "fp"), (17, "getcwd", "xd"), (19, "eventfd2", "dx"), (20, "epoll_create1", "x"),
    (21, "epoll_ctl", "fdfx"), (22, "epoll_pwait", "fxddxd"), (23, "dup", "f"), (24, "dup3", "ffO"),
    (25, "fcntl", "fdx"), (26, "inotify_init1", "x"), (27, "inotify_add_watch", "fpx"), (28, "inotify_rm_watch", "fd"),
    (29, "ioctl", "fxx"), (30, "ioprio_set", "ddx"), (31, "ioprio_get", "dd"), (32, "flock", "fd"),
    (33, "mknodat", "@pox"), (34, "mkdirat", "@po"), (35, "unlinkat", "@px"), (36, "symlinkat", "p@p"),
    (37, "linkat", "@p@px"), (38, "renameat", "@p@p"), (39, "umount2", "px"), (40, "mount", "pppxx"),
    (41, "pivot_root", "pp"), (43, "statfs", "px"), (44, "fstatfs", "fx"), (45, "truncate", "pd"),
    (46, "ftruncate", "fd"), (47, "fallocate", "fxdd"), (48, "faccessat", "@po"), (49, "chdir", "p"),
    (50, "fchdir", "f"), (51, "chroot", "p"), (52, "fchmod", "fo"), (53, "fchmodat", "@po"), (54, "fchownat", "@pddx"),
    (55, "fchown", "fdd"), (56, "openat", "@pOo"), (57, "close", "f"), (58, "vhangup", ""), (59, "pipe2", "xO"),
    (60, "quotactl", "xpdx"), (61, "getdents64", "fxd"), (62, "lseek", "fdd"), (63, "read", "fxd"),
    (64, "write", "fbd"), (65, "readv", "fxd"), (66, "writev", "fxd"), (67, "pread64", "fxdd"), (68, "pwrite64", "fbdd"),
    (69, "preadv", "fxddd"), (70, "pwritev", "fxddd"), (71, "sendfile", "ffxd"), (72, "pselect6", "dxxxxx"),
    (73, "ppoll", "xdxxd"), (74, "signalfd4", "fxdx"), (75, "vmsplice", "fxdx"), (76, "splice", "fxfxdx"),
    (77, "tee", "ffdx"), (78, "readlinkat", "@pxd"), (79, "fstatat", "@pxx"), (80, "fstat", "fx"), (81, "sync", ""),
    (82, "fsync", "f"), (83, "fdatasync", "f"), (84, "sync_file_range", "fdddd"), (85, "timerfd_create", "dx"),
    (86, "timerfd_settime", "fxxx"), (87, "timerfd_gettime", "fx"), (88, "utimensat", "@pxx"), (89, "acct", "p"),
    (90, "capget", "xx"), (91, "capset", "xx"), (92, "personality", "x"), (93, "exit", "d"), (94, "exit_group", "d"),
    (95, "waitid", "ddxxx"), (96, "set_tid_address", "x"), (97, "unshare", "x"), (98, "futex", "xddxxx"),
    (99, "set_robust_list", "xd"), (100, "get_robust_list", "dxx"), (101, "nanosleep", "xx"), (102, "getitimer", "dx"),
    (103, "setitimer", "dxx"), (104, "kexec_load", "xdxx"), (105, "init_module", "xdp"), (106, "delete_module", "px"),
    (107, "timer_create", "dxx"), (108, "timer_gettime", "dx"), (109, "timer_getoverrun", "d"),
    (110, "timer_settime", "dxxx"), (111, "timer_delete", "d"), (112, "clock_settime", "dx"), (113, "clock_gettime", "dx"),
    (114, "clock_getres", "dx"), (115, "clock_nanosleep", "dxxx"), (116, "syslog", "dxd"), (117, "ptrace", "ddxx"),
    (118, "sched_setparam", "dx"), (119, "sched_setscheduler", "ddx"), (120, "sched_getscheduler", "d"),
    (121, "sched_getparam", "dx"), (122, "sched_setaffinity", "ddx"), (123, "sched_getaffinity", "ddx"),
    (124, "sched_yield", ""), (125, "sched_get_priority_max", "d"), (126, "sched_get_priority_min", "d"),
    (127, "sched_rr_get_interval", "dx"), (128, "restart_syscall", ""), (129, "kill", "ds"), (130, "tkill", "ds"),
    (131, "tgkill", "dds"), (132, "sigaltstack", "xx"), (133, "rt_sigsuspend", "xd"), (134, "rt_sigaction", "sxxd"),
    (135, "rt_sigprocmask", "dxxd"), (136, "rt_sigpending", "xd"), (137, "rt_sigtimedwait", "xxxd"),
    (138, "rt_sigqueueinfo", "dsx"), (139, "rt_sigreturn", ""), (140, "setpriority", "ddd"), (141, "getpriority", "dd"),
    (142, "reboot", "xxxx"), (143, "setregid", "dd"), (144, "setgid", "d"), (145, "setreuid", "dd"), (146, "setuid", "d"),
    (147, "setresuid", "ddd"), (148, "getresuid", "xxx"), (149, "setresgid", "ddd"), (150, "getresgid", "xxx"),
    (151, "setfsuid", "d"), (152, "setfsgid", "d"), (153, "times", "x"), (154, "setpgid", "dd"), (155, "getpgid", "d"),
    (156, "getsid", "d"), (157, "setsid", ""), (158, "getgroups", "dx"), (159, "setgroups", "dx"), (160, "uname", "x"),
    (161, "sethostname", "bd"), (162, "setdomainname", "bd"), (163, "getrlimit", "dx"), (164, "setrlimit", "dx"),
    (165, "getrusage", "dx"), (166, "umask", "o"), (167, "prctl", "dxxxx"), (168, "getcpu", "xxx"),
    (169, "gettimeofday", "xx"), (170, "settimeofday", "xx"), (171, "adjtimex", "x"), (172, "getpid", ""),
    (173, "getppid", ""), (174, "getuid", ""), (175, "geteuid", ""), (176, "getgid", ""), (177, "getegid", ""),
    (178, "gettid", ""), (179, "sysinfo", "x"), (198, "socket", "ddd"), (199, "socketpair", "dddx"), (200, "bind", "fxd"),
    (201, "listen", "fd"), (202, "accept", "fxx"), (203, "connect", "fxd"), (204, "getsockname", "fxx"),
    (205, "getpeername", "fxx"), (206, "sendto", "fbdxxd"), (207, "recvfrom", "fxdxxx"), (208, "setsockopt", "fddxd"),
    (209, "getsockopt", "fddxx"), (210, "shutdown", "fd"), (211, "sendmsg", "fxx"), (212, "recvmsg", "fxx"),
    (213, "readahead", "fdd"), (214, "brk", "x"), (215, "munmap", "xd"), (216, "mremap", "xddxx"),
    (220, "clone", "xxxxx"), (221, "execve", "pxx"), (222, "mmap", "xdxxfx"), (223, "fadvise64", "fddd"),
    (224, "swapon", "px"), (225, "swapoff", "p"), (226, "mprotect", "xdx"), (227, "msync", "xdx"), (228, "mlock", "xd"),
    (229, "munlock", "xd"), (230, "mlockall", "x"), (231, "munlockall", ""), (232, "mincore", "xdx"),
    (233, "madvise", "xdd"), (242, "accept4", "fxxx"), (243, "recvmmsg", "fxdxx"), (260, "wait4", "dxxx"),
    (261, "prlimit64", "ddxx"), (266, "clock_adjtime", "dx"), (267, "syncfs", "f"), (268, "setns", "fx"),
    (269, "sendmmsg", "fxdx"), (274, "sched_setattr", "dxx"), (275, "sched_getattr", "dxdx"),
    (276, "renameat2", "@p@px"), (277, "seccomp", "dxx"), (278, "getrandom", "xdx"), (279, "memfd_create", "px"),
    (280, "bpf", "dxd"), (281, "execveat", "@pxxx"), (282, "userfaultfd", "x"), (283, "membarrier", "dxd"),
    (284, "mlock2", "xdx"), (285, "copy_file_range", "fxfxdx"), (286, "preadv2", "fxdddx"), (287, "pwritev2", "fxdddx"),
    (291, "statx", "@pxxx"), (293, "rseq", "xdxx"), (403, "clock_gettime64", "dx"), (404, "clock_settime64", "dx"),
    (406, "clock_getres_time64", "dx"), (407, "clock_nanosleep_time64", "dxxx"), (408, "timer_gettime64", "dx"),
    (409, "timer_settime64", "dxxx"), (410, "timerfd_gettime64", "fx"), (411, "timerfd_settime64", "fxxx"),
    (412, "utimensat_time64", "@pxx"), (413, "pselect6_time64", "dxxxxx"), (414, "ppoll_time64", "xdxxd"),
    (416, "io_pgetevents_time64", "xddxxx"), (417, "recvmmsg_time64", "fxdxx"), (421, "rt_sigtimedwait_time64", "xxxd"),
    (422, "futex_time64", "xddxxx"), (423, "sched_rr_get_interval_time64", "dx"), (424, "pidfd_send_signal", "fsxx"),
    (425, "io_uring_setup", "dx"), (426, "io_uring_enter", "fddxxd"), (427, "io_uring_register", "fdxd"),
    (434, "pidfd_open", "dx"), (435, "clone3", "xd"), (436, "close_range", "ddx"), (437, "openat2", "@pxd"),
    (438, "pidfd_getfd", "fdx"), (439, "faccessat2", "@pox"), (441, "epoll_pwait2", "fxdxxd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_so_that_they_are_found() {
        assert!(TABLE.is_sorted_by(|one, next| one.0 < next.0));
        assert!(TABLE.iter().all(|(number, name, _)| Syscall::of(*number).is_some_and(|call| call.name == *name)));
        assert_eq!(Syscall::of(244), None);
    }

    #[test]
    fn calls_are_written_as_c_would() {
        let data = [b"/etc/motd".to_vec()];
        let text = arguments(56, &[-100i64 as u64, 0x1234, 0o2_000_000 | 1, 0o644], &data);
        assert_eq!(text, "AT_FDCWD, \"/etc/motd\", O_WRONLY|O_CLOEXEC, 0o644");
        assert_eq!(arguments(64, &[1, 0x10, 5], &[b"a\"\n".to_vec()]), "1, \"a\\\"\\n\"…, 5");
        assert_eq!(arguments(129, &[5, 9], &[]), "5, SIGKILL");
        assert_eq!(arguments(999, &[u64::MAX, 0], &[]), "0xffffffff, 0");
        assert_eq!(name(999), "syscall_999");
        // Fewer arguments than the call has.
        assert_eq!(arguments(56, &[3], &[]), "3");
    }

    #[test]
    fn results_are_numbers_addresses_or_errors() {
        assert_eq!(result(-2i64 as u64), "-1 ENOENT");
        assert_eq!(result(-133i64 as u64), "-1 EHWPOISON");
        assert_eq!(result(-512i64 as u64), "-1 errno 512");
        assert_eq!(result(12), "12");
        assert_eq!(result(i64::from(0xe000_0000u32 as i32) as u64), "0xe0000000");
    }
}
