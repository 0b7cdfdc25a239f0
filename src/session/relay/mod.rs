//! A live run of which two machines take turns: one in fast code while nobody looks, one in code for debugging.
//!
//! ```text
//!   ┌──────┐  a debugger comes: the debug machine runs to where the fast one has stopped ─▶ ┌───────┐
//!   │ fast │                                                                                │ debug │ (with its past)
//!   └──────┘ ◀─ it has left: the fast machine runs after the debug one, until it is near    └───────┘
//! ```
//!
//! Both make the same run, as any two variants do. The one that *leads* is the run: what is typed goes to it, and what it
//! says is heard and recorded. The other one *follows*: it waits where it last led, and is given what came from outside
//! since when it has to go on. So a debugger finds all of the run's past, and each of the two computes nothing twice.
//!
//! Before the lead passes on, both have to be at the same place with the same memory, schedule and console. If they are
//! not, the one that leads goes on leading, and somebody is told.

mod inferior;
mod pass;
mod screen;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use wkdb_debugger::inferior::{Inferior, InferiorError, Limits, Notice, Progress, Result, Resume, Status};
use wkdb_tracer::Event;

use self::pass::Pass;
use self::screen::Points;
use super::alarm::Alarm;
use super::rewindable::PATIENCE;
use super::{Live, Rewindable, Tapped};
use crate::machine::{MachineConfig, Pace};
use crate::process::MachineProcess;

/// One of the two machines.
enum Run {
    Fast(Box<Live<Tapped>>),
    Debug(Box<Rewindable>),
}

impl Run {
    /// The machine itself; not while it looks for a way back.
    fn machine(&mut self) -> Result<&mut Live<Tapped>> {
        match self {
            Run::Fast(machine) => Ok(machine),
            Run::Debug(machine) => machine.present_mut().ok_or(InferiorError::Running),
        }
    }

    fn inferior(&self) -> &dyn Inferior {
        match self {
            Run::Fast(machine) => &**machine,
            Run::Debug(machine) => &**machine,
        }
    }

    fn inferior_mut(&mut self) -> &mut dyn Inferior {
        match self {
            Run::Fast(machine) => &mut **machine,
            Run::Debug(machine) => &mut **machine,
        }
    }

    fn has_notices(&self) -> bool {
        match self {
            Run::Fast(machine) => machine.has_notices(),
            Run::Debug(machine) => machine.has_notices(),
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.inferior().status(), Status::Stopped(_))
    }
}

impl AsFd for Run {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Run::Fast(machine) => machine.as_fd(),
            Run::Debug(machine) => machine.as_fd(),
        }
    }
}

/// What machines are made of that are started later.
#[derive(Debug, Clone)]
pub struct Variants {
    /// In fast code; none if the run stays in the code for debugging once it is there.
    pub fast: Option<MachineConfig>,
    /// In code for debugging, with checks of stores and loads; none if no debugger comes.
    pub debug: Option<MachineConfig>,
    /// What the past may cost.
    pub limits: Limits,
    /// Starts a machine process.
    pub start: fn(MachineConfig) -> io::Result<MachineProcess>,
}

impl Default for Variants {
    /// Machines of this program; none is started later.
    fn default() -> Self {
        Variants { fast: None, debug: None, limits: Limits::default(), start: MachineProcess::start }
    }
}

/// A live run, for a poll loop.
///
/// To a debugger it is an [`Inferior`] that takes a while to stop when it is interrupted first.
pub struct Relay {
    leader: Run,
    /// The other machine, if there is one.
    follower: Option<Run>,
    /// The lead is to pass on to the other one.
    pass: Option<Pass>,
    /// The leader was told to stop so that the lead can pass on.
    halting: bool,
    /// There is no machine for debuggers: they get the fast one, such as it is.
    bare: bool,
    variants: Variants,
    pace: Pace,
    /// A debugger is there.
    attached: bool,
    /// That is a screen, which also looks at the fast machine.
    screen: bool,
    /// What the machine for debugging is to stop at.
    points: Points,
    /// A debugger has let one task run alone, which the fast machine is not told of.
    altered: bool,
    /// A debugger wants to be stopped where a program begins.
    stops_at_loads: bool,
    /// Told, and not taken yet.
    notices: VecDeque<Notice>,
    alarm: Alarm,
}

fn alarm() -> Result<Alarm> {
    Alarm::new().map_err(|error| InferiorError::Gone(error.to_string()))
}

impl Relay {
    /// Starts a run in this configuration, which runs at once; others of its machines are made of `variants`. `listen`
    /// makes the link to it, so that somebody hears what the run says, whichever machine leads.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(
        config: MachineConfig,
        variants: Variants,
        listen: impl FnOnce(MachineProcess) -> Tapped,
    ) -> Result<Relay> {
        let pace = config.pace;
        let process = (variants.start)(config).map_err(|error| InferiorError::Gone(error.to_string()))?;
        let leader = Run::Fast(Box::new(Live::over(listen(process))));
        Relay::over(leader, variants, pace, false)
    }

    /// A run that a debugger is to let go on first: `machine` is at its start.
    ///
    /// # Errors
    /// There are no file descriptors left.
    pub fn stopped(machine: Rewindable, variants: Variants, pace: Pace) -> Result<Relay> {
        Relay::over(Run::Debug(Box::new(machine)), variants, pace, true)
    }

    /// A run that is led by this machine, in fast code, which is stopped and was told to lead. It waits to be let go on,
    /// by [`Relay::go_on`] or by a debugger.
    ///
    /// # Errors
    /// There are no file descriptors left.
    pub fn led_by(machine: Live<Tapped>, variants: Variants, pace: Pace) -> Result<Relay> {
        Relay::over(Run::Fast(Box::new(machine)), variants, pace, false)
    }

    fn over(leader: Run, variants: Variants, pace: Pace, attached: bool) -> Result<Relay> {
        Ok(Relay {
            leader,
            follower: None,
            pass: None,
            halting: false,
            bare: false,
            variants,
            pace,
            attached,
            screen: false,
            points: Points::default(),
            altered: false,
            stops_at_loads: false,
            notices: VecDeque::new(),
            alarm: alarm()?,
        })
    }

    /// Whether there are notices already: a poll loop must not sleep then.
    pub fn has_notices(&self) -> bool {
        let follower = self.follower.as_ref().filter(|_| self.follower_speaks());
        !self.notices.is_empty() || self.leader.has_notices() || follower.is_some_and(Run::has_notices)
    }

    /// What takes input, if it would be taken now: writable when there is room for some.
    pub fn input_fd(&self) -> Option<BorrowedFd<'_>> {
        if self.is_passing() {
            return None;
        }
        match &self.leader {
            Run::Fast(machine) => Some(machine.as_fd()),
            Run::Debug(machine) => machine.input_fd(),
        }
    }

    /// Says whether somebody wants to be told of traps, panics and the run's end, by a stop; and to stop it, which is
    /// what the debug machine is for.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn set_attached(&mut self, attached: bool) -> Result<()> {
        self.attached = attached;
        self.bare &= attached;
        match &mut self.leader {
            Run::Fast(_) if attached => Ok(()),
            Run::Fast(_) => self.give_up_pass(),
            Run::Debug(machine) => {
                machine.set_attached(attached)?;
                match attached {
                    true => self.give_up_pass(),
                    false => self.chase(),
                }
            }
        }
    }

    /// Ends the run, whatever it is doing.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn quit(&mut self) -> Result<()> {
        (self.pass, self.halting) = (None, false);
        match &mut self.leader {
            Run::Fast(machine) => machine.quit(),
            Run::Debug(machine) => machine.quit(),
        }
    }

    /// How far the debug machine is on its way, in ticks, while a debugger waits for it.
    pub fn progress(&mut self) -> Option<Progress> {
        let pass = self.pass.as_ref().filter(|pass| pass.leader_waits())?;
        let (from, to) = (pass.from, pass.to.position.tick);
        let here = self.follower.as_mut()?.machine().ok()?.last_told().tick;
        Some(Progress { done: here.0.saturating_sub(from.0), of: to.0.saturating_sub(from.0) })
    }

    /// Whether a debugger has the machine in code for debugging, with its past.
    pub fn is_debug(&self) -> bool {
        matches!(self.leader, Run::Debug(_))
    }

    /// Whether the run stands still until the lead has passed on.
    fn is_passing(&self) -> bool {
        self.halting || self.pass.as_ref().is_some_and(Pass::leader_waits)
    }

    fn complain(&mut self, text: String) {
        self.notices.push_back(Notice::Event(Box::new(Event::Complaint { context: None, text })));
    }

    /// Takes what the machines say.
    fn hear(&mut self, wait: Duration) -> Result<()> {
        self.sleep(wait)?;
        match self.leader.inferior_mut().notices(Duration::ZERO) {
            Ok(told) => told.into_iter().try_for_each(|notice| self.heard(notice))?,
            Err(_) if !self.notices.is_empty() => return Ok(()),
            Err(error) => return Err(error),
        }
        if self.follower_speaks()
            && let Err(error) = self.hear_follower()
        {
            match &self.pass {
                Some(_) => self.fail(&error)?,
                // Nobody waits for it: the next time there is another one.
                None => self.follower = None,
            }
        }
        Ok(())
    }

    /// Waits until there is something to hear.
    fn sleep(&self, wait: Duration) -> Result<()> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if wait.is_zero() || self.has_notices() {
            return Ok(());
        }
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        match poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(InferiorError::Gone(error.to_string())),
        }
    }

    /// The leader said this.
    fn heard(&mut self, notice: Notice) -> Result<()> {
        match notice {
            Notice::Stopped(stop) => self.leader_stopped(stop),
            Notice::Ended(..) => {
                (self.pass, self.halting) = (None, false);
                self.notices.push_back(notice);
                Ok(())
            }
            other => {
                self.notices.push_back(other);
                Ok(())
            }
        }
    }

    /// A machine of the other variant, at its start: it follows the leader, and stops at nothing but its places.
    fn make_follower(&mut self) -> Result<Run> {
        let to_debug = matches!(self.leader, Run::Fast(_));
        let config = if to_debug { &self.variants.debug } else { &self.variants.fast };
        let missing = || InferiorError::Refused("there is no other machine".into());
        let mut config = config.clone().ok_or_else(missing)?;
        config.attach = true;
        config.pace = Pace::Warp;
        let limits = self.variants.limits;
        let process = (self.variants.start)(config).map_err(|error| InferiorError::Gone(error.to_string()))?;
        let mut machine = Live::follower(Tapped::silent(process), self.leader.machine()?);
        if to_debug {
            let mut machine = Rewindable::over(machine, limits)?;
            machine.set_attached(false)?;
            return Ok(Run::Debug(Box::new(machine)));
        }
        let deadline = Instant::now() + PATIENCE;
        while !matches!(machine.status(), Status::Stopped(_)) {
            if Instant::now() > deadline {
                return Err(InferiorError::Gone("it does not come to its start".into()));
            }
            machine.notices(PATIENCE)?;
        }
        machine.set_attached(false)?;
        Ok(Run::Fast(Box::new(machine)))
    }

    /// Lets the run go on, if it was not.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn go_on(&mut self) -> Result<()> {
        match self.leader.is_stopped() {
            true => self.leader.inferior_mut().resume(&Resume::go()),
            false => Ok(()),
        }
    }
}

impl AsFd for Relay {
    /// Readable when [`Inferior::notices`] has something to say, or something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.alarm.watch(self.leader.as_fd());
        if let Some(follower) = &self.follower {
            // One that waits has nothing to say.
            match self.follower_speaks() {
                true => self.alarm.watch(follower.as_fd()),
                false => self.alarm.ignore(follower.as_fd()),
            }
        }
        self.alarm.as_fd()
    }
}
