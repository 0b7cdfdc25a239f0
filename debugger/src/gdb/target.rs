//! What gdbstub asks of a target, answered by the [`View`] of the inferior.

use std::convert::Infallible;

use gdbstub::common::{Pid, Signal, Tid};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadRangeStepping, MultiThreadRangeSteppingOps, MultiThreadResume, MultiThreadResumeOps,
    MultiThreadSchedulerLocking, MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::reverse_exec::{ReverseCont, ReverseContOps, ReverseStep, ReverseStepOps};
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint,
    SwBreakpointOps, WatchKind as StubWatchKind,
};
use gdbstub::target::ext::exec_file::{ExecFile, ExecFileOps};
use gdbstub::target::ext::host_io::{
    FsKind, HostIo, HostIoClose, HostIoCloseOps, HostIoErrno, HostIoError, HostIoFstat, HostIoFstatOps, HostIoOpen,
    HostIoOpenFlags, HostIoOpenMode, HostIoOpenOps, HostIoOps, HostIoPread, HostIoPreadOps, HostIoResult, HostIoSetfs,
    HostIoSetfsOps, HostIoStat,
};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use wkdb_tracer::CodeAddress;

use super::GDB_SCRIPT;
use super::arch::{AllRegisters, Processor, RegisterNumber};
use super::files::{Files, KERNEL};
use super::link::MAX_MESSAGE;
use super::monitor::MonitorCommands;
use super::points::{Kind, Point, Points};
use super::threads::runner;
use super::view::{Fault, View};
use super::wire::number;
use crate::companion::layout::Region;
use crate::inferior::{Direction, Inferior, Resume, Step, StepKind, WatchKind, Who};

/// How many instructions are disassembled at a time.
const MAX_DISASSEMBLED: u64 = 4096;

/// The inferior for the time of one packet.
pub(super) struct Face<'a> {
    pub(super) inferior: &'a mut dyn Inferior,
    pub(super) view: &'a mut View,
    pub(super) points: &'a mut Points,
    pub(super) files: &'a mut Files,
    pub(super) monitor: &'a mut dyn MonitorCommands,
    /// The thread that the packet is about.
    pub(super) selected: Option<Tid>,
    /// How the client wants the machine to go on.
    pub(super) resume: Option<Resume>,
    /// Why the last thing was not done: the protocol's own errors are numbers.
    pub(super) fault: Option<Fault>,
    actions: Actions,
}

/// What a `vCont` says.
#[derive(Debug, Default)]
struct Actions {
    step: Option<Step>,
    /// The first thread that goes on without stepping.
    go: Option<Tid>,
    /// Those that are not named stand still.
    locked: bool,
}

impl<'a> Face<'a> {
    pub(super) fn new(
        inferior: &'a mut dyn Inferior,
        view: &'a mut View,
        points: &'a mut Points,
        files: &'a mut Files,
        monitor: &'a mut dyn MonitorCommands,
    ) -> Face<'a> {
        let actions = Actions::default();
        Face { inferior, view, points, files, monitor, selected: None, resume: None, fault: None, actions }
    }

    fn answer<T>(&mut self, result: Result<T, impl Into<Fault>>) -> TargetResult<T, Self> {
        result.map_err(|error| {
            let fault = error.into();
            let errno = fault.errno();
            self.fault = Some(fault);
            TargetError::Errno(errno)
        })
    }

    fn insert(&mut self, kind: Kind, address: u64, len: u64) -> TargetResult<bool, Self> {
        let inserted = self.points.insert(self.inferior, &self.view.modules, Point { kind, address, len });
        self.answer(inserted).map(|()| true)
    }

    fn remove(&mut self, kind: Kind, address: u64, len: u64) -> TargetResult<bool, Self> {
        Ok(self.points.remove(Point { kind, address, len }))
    }

    /// The registers of a thread as they are.
    fn register_bytes(&mut self, tid: Tid) -> TargetResult<Vec<u8>, Self> {
        let values = self.view.values(self.inferior, tid);
        let values = self.answer(values)?;
        Ok(self.view.registers.all_bytes(&values))
    }

    /// What the script for gdb asks for: `ADDRESS COUNT`, both hexadecimal, in the client's addresses. A line each:
    /// address, length, where a call goes to or 0, and the instruction.
    fn disassemble(&self, operands: &str) -> String {
        let mut operands = operands.split_whitespace().map(|operand| number(operand.as_bytes()));
        let (Some(Some(mut address)), Some(Some(count))) = (operands.next(), operands.next()) else {
            return "usage: monitor wkdb-disas ADDRESS COUNT, without 0x\n".to_owned();
        };
        let modules = &self.view.modules;
        let mut text = String::new();
        for _ in 0..count.min(MAX_DISASSEMBLED) {
            let Some(place) = modules.instruction(address) else { break };
            let Some(code) = modules.code(place.module) else { break };
            let (words, end, callee) = code.disassembled(place.offset);
            let callee = callee.and_then(|callee| code.first_instruction(callee));
            let callee = callee.and_then(|offset| modules.layout().code_address(CodeAddress { offset, ..place }));
            let len = u64::from(end.0 - place.offset.0);
            text.push_str(&format!("{address:#x} {len} {:#x} {words}\n", callee.unwrap_or(0)));
            address += len;
        }
        text
    }

    fn refuse_registers(&mut self, what: &str) -> TargetError<Infallible> {
        let text = format!(
            "{what} cannot be changed: it stands for Wasm's own state, which no instruction can set; change memory instead"
        );
        let fault = Fault::ReadOnly(text);
        let errno = fault.errno();
        self.fault = Some(fault);
        TargetError::Errno(errno)
    }
}

impl Target for Face<'_> {
    type Arch = Processor;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, Processor, Infallible> {
        BaseOps::MultiThread(self)
    }

    fn guard_rail_implicit_sw_breakpoints(&self) -> bool {
        true
    }

    /// Replies are looked at afterwards.
    fn use_rle(&self) -> bool {
        false
    }

    /// It has a target description.
    fn use_lldb_register_info(&self) -> bool {
        false
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(&mut self) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }

    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }

    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Face<'_> {
    fn read_registers(&mut self, registers: &mut AllRegisters, tid: Tid) -> TargetResult<(), Self> {
        registers.0 = self.register_bytes(tid)?;
        Ok(())
    }

    /// Accepts what changes nothing: clients save registers and give them back.
    fn write_registers(&mut self, registers: &AllRegisters, tid: Tid) -> TargetResult<(), Self> {
        if self.register_bytes(tid)? == registers.0 { Ok(()) } else { Err(self.refuse_registers("a register")) }
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, address: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let read = self.view.read(self.inferior, tid, address, data);
        self.answer(read)
    }

    fn write_addrs(&mut self, address: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let written = self.view.write(self.inferior, tid, address, data);
        self.answer(written)
    }

    fn list_active_threads(&mut self, thread_is_active: &mut dyn FnMut(Tid)) -> Result<(), Infallible> {
        for tid in self.view.threads(self.inferior).unwrap_or_default() {
            thread_is_active(tid);
        }
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for Face<'_> {
    fn read_register(&mut self, tid: Tid, register: RegisterNumber, buf: &mut [u8]) -> TargetResult<usize, Self> {
        let values = self.view.values(self.inferior, tid);
        let values = self.answer(values)?;
        let bytes = self.view.registers.bytes(register.0, &values).ok_or(TargetError::Errno(22))?;
        buf.get_mut(..bytes.len()).ok_or(TargetError::NonFatal)?.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_register(&mut self, tid: Tid, register: RegisterNumber, value: &[u8]) -> TargetResult<(), Self> {
        let values = self.view.values(self.inferior, tid);
        let values = self.answer(values)?;
        let present = self.view.registers.bytes(register.0, &values).ok_or(TargetError::Errno(22))?;
        if present == value {
            return Ok(());
        }
        Err(self.refuse_registers(self.view.registers.name(register.0).unwrap_or("a register")))
    }
}

impl MultiThreadResume for Face<'_> {
    fn resume(&mut self) -> Result<(), Infallible> {
        let Actions { step, go, locked } = std::mem::take(&mut self.actions);
        let alone = step.as_ref().map(|step| step.runner).or(go.map(runner)).filter(|_| locked);
        self.resume = Some(Resume { who: alone.map_or(Who::All, Who::Only), step, ..Resume::go() });
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Infallible> {
        self.actions = Actions::default();
        Ok(())
    }

    /// Signals are the guest kernel's business: what a client passes on is dropped.
    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Infallible> {
        self.actions.go.get_or_insert(tid);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, Tid, Self>> {
        if self.inferior.has_history() { Some(self) } else { None }
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, Tid, Self>> {
        if self.inferior.has_history() { Some(self) } else { None }
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Face<'_> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Infallible> {
        self.actions.step.get_or_insert(Step { runner: runner(tid), kind: StepKind::Instruction });
        Ok(())
    }
}

impl MultiThreadRangeStepping for Face<'_> {
    fn set_resume_action_range_step(&mut self, tid: Tid, start: u64, end: u64) -> Result<(), Infallible> {
        let layout = self.view.modules.layout();
        // The last address is one behind a line, and may be one behind all code.
        let range = match (layout.region(start), end.checked_sub(start)) {
            (Region::Code(first), Some(len)) if len > 0 => u32::try_from(len)
                .ok()
                .and_then(|len| first.offset.0.checked_add(len))
                .map(|last| first.offset..wkdb_tracer::CodeOffset(last)),
            _ => None,
        };
        let kind = range.map_or(StepKind::Instruction, StepKind::Into);
        self.actions.step.get_or_insert(Step { runner: runner(tid), kind });
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Face<'_> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Infallible> {
        self.actions.locked = true;
        Ok(())
    }
}

impl ReverseCont<Tid> for Face<'_> {
    fn reverse_cont(&mut self) -> Result<(), Infallible> {
        self.resume = Some(Resume { direction: Direction::Backward, ..Resume::go() });
        Ok(())
    }
}

impl ReverseStep<Tid> for Face<'_> {
    fn reverse_step(&mut self, tid: Tid) -> Result<(), Infallible> {
        let step = Resume::step(runner(tid), StepKind::Instruction);
        self.resume = Some(Resume { direction: Direction::Backward, ..step });
        Ok(())
    }
}

impl Breakpoints for Face<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Face<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, kind: usize) -> TargetResult<bool, Self> {
        self.insert(Kind::Software, address, kind as u64)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, kind: usize) -> TargetResult<bool, Self> {
        self.remove(Kind::Software, address, kind as u64)
    }
}

impl HwBreakpoint for Face<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, kind: usize) -> TargetResult<bool, Self> {
        self.insert(Kind::Hardware, address, kind as u64)
    }

    fn remove_hw_breakpoint(&mut self, address: u64, kind: usize) -> TargetResult<bool, Self> {
        self.remove(Kind::Hardware, address, kind as u64)
    }
}

fn watch_kind(kind: StubWatchKind) -> Kind {
    Kind::Watch(match kind {
        StubWatchKind::Write => WatchKind::Write,
        StubWatchKind::Read => WatchKind::Read,
        StubWatchKind::ReadWrite => WatchKind::Access,
    })
}

impl HwWatchpoint for Face<'_> {
    fn add_hw_watchpoint(&mut self, address: u64, len: u64, kind: StubWatchKind) -> TargetResult<bool, Self> {
        self.insert(watch_kind(kind), address, len)
    }

    fn remove_hw_watchpoint(&mut self, address: u64, len: u64, kind: StubWatchKind) -> TargetResult<bool, Self> {
        self.remove(watch_kind(kind), address, len)
    }
}

impl MonitorCmd for Face<'_> {
    fn handle_monitor_cmd(&mut self, command: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Infallible> {
        let command = String::from_utf8_lossy(command);
        let text = match command.trim().split_once(' ').unwrap_or((command.trim(), "")) {
            ("wkdb-disas", operands) => self.disassemble(operands),
            ("python-script", "") => GDB_SCRIPT.to_owned(),
            _ => {
                let started = self.view.tasks(self.inferior).is_ok_and(|tasks| !tasks.is_empty());
                if let Some(tid) = self.selected.filter(|_| started) {
                    self.monitor.look_at(runner(tid));
                }
                self.monitor.run(self.inferior, command.trim())
            }
        };
        // Whatever it was, it may have changed the guest.
        self.view.forget();
        for part in text.as_bytes().chunks(MAX_MESSAGE) {
            out.write_raw(part);
            out.flush();
        }
        Ok(())
    }
}

/// A part of an object, into a buffer.
fn part(object: &[u8], offset: u64, len: usize, buf: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|offset| object.get(offset..)).unwrap_or_default();
    let len = rest.len().min(len).min(buf.len());
    buf[..len].copy_from_slice(&rest[..len]);
    len
}

impl TargetDescriptionXmlOverride for Face<'_> {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buf: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::Errno(2));
        }
        Ok(part(self.view.registers.target_xml().as_bytes(), offset, length, buf))
    }
}

impl ExecFile for Face<'_> {
    fn get_exec_file(&self, _: Option<Pid>, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(part(KERNEL.as_bytes(), offset, length, buf))
    }
}

impl HostIo for Face<'_> {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }

    fn support_fstat(&mut self) -> Option<HostIoFstatOps<'_, Self>> {
        Some(self)
    }

    fn support_setfs(&mut self) -> Option<HostIoSetfsOps<'_, Self>> {
        Some(self)
    }
}

impl HostIoOpen for Face<'_> {
    fn open(&mut self, name: &[u8], flags: HostIoOpenFlags, _: HostIoOpenMode) -> HostIoResult<u32, Self> {
        let writes = HostIoOpenFlags::O_WRONLY | HostIoOpenFlags::O_RDWR | HostIoOpenFlags::O_CREAT;
        if flags.intersects(writes) {
            return Err(HostIoError::Errno(HostIoErrno::EROFS));
        }
        let fd = self.files.open(self.inferior, self.view.modules.layout(), name);
        fd.ok_or(HostIoError::Errno(HostIoErrno::ENOENT))
    }
}

impl HostIoClose for Face<'_> {
    fn close(&mut self, fd: u32) -> HostIoResult<(), Self> {
        if self.files.close(fd) { Ok(()) } else { Err(HostIoError::Errno(HostIoErrno::EBADF)) }
    }
}

impl HostIoPread for Face<'_> {
    fn pread(&mut self, fd: u32, count: usize, offset: u64, buf: &mut [u8]) -> HostIoResult<usize, Self> {
        let file = self.files.get(fd).ok_or(HostIoError::Errno(HostIoErrno::EBADF))?;
        // What is escaped becomes longer.
        Ok(part(file, offset, count.min(buf.len() / 2), buf))
    }
}

impl HostIoFstat for Face<'_> {
    fn fstat(&mut self, fd: u32) -> HostIoResult<HostIoStat, Self> {
        let file = self.files.get(fd).ok_or(HostIoError::Errno(HostIoErrno::EBADF))?;
        let size = file.len() as u64;
        Ok(HostIoStat {
            st_dev: 0,
            st_ino: 0,
            st_mode: HostIoOpenMode::S_IFREG | HostIoOpenMode::S_IRUSR,
            st_nlink: 1,
            st_uid: 0,
            st_gid: 0,
            st_rdev: 0,
            st_size: size,
            st_blksize: 4096,
            st_blocks: size.div_ceil(512),
            st_atime: 0,
            st_mtime: 0,
            st_ctime: 0,
        })
    }
}

impl HostIoSetfs for Face<'_> {
    fn setfs(&mut self, _: FsKind) -> HostIoResult<(), Self> {
        Ok(())
    }
}
