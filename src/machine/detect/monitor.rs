//! Monitors: detectors that look at the whole guest every now and then.

use wkdb_tracer::{Detector, Finding, GuestTime, RunnerId, Tick};

use super::super::attended::State;
use super::super::executor::{Machine, Port};
use super::kernel::KernelPatrol;
use super::{DetectConfig, Guest};
use wkdb_debugger::inferior::StopReason;
use wkdb_debugger::kernel::detect::Landmarks;

/// How much guest time passes from one look to the next, in nanoseconds.
const INTERVAL_NS: u64 = 250_000_000;

/// After so many looks at a guest that does nothing, some minutes, the clock may jump as far as it likes.
const QUIET_LOOKS: u32 = 1000;

/// Why a monitor is to look.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) enum Occasion {
    /// Some guest time has passed; the machine is between two slices.
    Interval,
    /// Every task waits and nothing can wake one: the run ends.
    Deadlock,
    /// Tasks run and nothing comes of it: the run ends.
    Spin,
    /// A task has held its CPU for long.
    Hog,
    /// A task has trapped. The kernel has not dealt with it yet.
    Trap(RunnerId),
    /// The guest kernel gave up.
    Panic(Option<RunnerId>),
}

/// A detector that looks at the whole guest. It may remember what it saw before: a machine has one of each, which is
/// copied with it.
///
/// What it finds must depend on the guest alone: not on the time outside, nor on how the code is compiled, nor on other
/// detectors. It reads; it cannot change anything. It must get by with whatever memory holds, and be quick: while the
/// guest idles it is called as often as while it works.
pub(in crate::machine) trait Monitor {
    /// Whether it is to look on such an occasion.
    fn wants(&self, occasion: Occasion) -> bool {
        let _ = occasion;
        true
    }

    /// Looks, and tells what is wrong. What it told before and is still so it does not tell again.
    fn look(&mut self, occasion: Occasion, guest: &mut Guest<'_>) -> Vec<Finding>;
}

/// The monitors of a machine, and when they look next.
#[derive(Default)]
pub(in crate::machine) struct Monitors {
    all: Vec<Box<dyn Monitor>>,
    next: GuestTime,
    /// The machine's position at the last look, and how many looks it has been there.
    ticks: Tick,
    quiet: u32,
}

impl Monitors {
    /// Those that a configuration asks for. The one that reads the kernel's structures asks for its landmarks.
    pub(in crate::machine) fn of(config: &DetectConfig, landmarks: impl FnOnce() -> Landmarks) -> Monitors {
        let patrol = KernelPatrol::of(config, landmarks).map(|patrol| Box::new(patrol) as Box<dyn Monitor>);
        Monitors { all: patrol.into_iter().collect(), next: GuestTime(INTERVAL_NS), ticks: Tick(0), quiet: 0 }
    }

    /// Whether there are none.
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Machine {
    /// Between two slices: has monitors look, if it is time. Whether the machine stopped for what they found.
    pub(in crate::machine) fn look_now_and_then(&mut self, port: &mut dyn Port) -> bool {
        let now = self.shared.core.borrow().now;
        if now >= self.monitors.next && self.looks() {
            self.look_again_after(now);
            let ticks = self.shared.core.borrow().ticks;
            self.monitors.quiet = if self.monitors.ticks == ticks { self.monitors.quiet.saturating_add(1) } else { 0 };
            self.monitors.ticks = ticks;
            self.follow_guarded();
            return self.have_looked(Occasion::Interval, None, port);
        }
        if self.shared.core.borrow().detection.guards.is_due(now) {
            self.follow_guarded();
        }
        false
    }

    /// Nobody can run: the moment at which the clock has to stop on its way, for monitors to look. In a guest that has not
    /// done anything for long there is nothing new to see.
    pub(in crate::machine) fn next_look(&self) -> Option<GuestTime> {
        (self.looks() && self.monitors.quiet < QUIET_LOOKS).then_some(self.monitors.next)
    }

    /// Whether anything is looked at.
    fn looks(&self) -> bool {
        !self.monitors.is_empty() || self.shared.core.borrow().detects(Detector::Guard)
    }

    fn look_again_after(&mut self, moment: GuestTime) {
        self.monitors.next = GuestTime((moment.0 / INTERVAL_NS + 1).saturating_mul(INTERVAL_NS));
    }

    /// Has the monitors look, tells what they find, and stops there if a debugger wants that; whether it stopped, or the run
    /// is over by that. It is about `runner`, unless a finding names another one.
    pub(in crate::machine) fn have_looked(
        &mut self,
        occasion: Occasion,
        runner: Option<RunnerId>,
        port: &mut dyn Port,
    ) -> bool {
        if self.monitors.is_empty() {
            return false;
        }
        // Those that look must not be in what they look at.
        let mut monitors = std::mem::take(&mut self.monitors.all);
        let mut findings = Vec::new();
        for monitor in monitors.iter_mut().filter(|monitor| monitor.wants(occasion)) {
            findings.extend(monitor.look(occasion, &mut Guest::new(self)));
        }
        self.monitors.all = monitors;
        findings.retain(|finding| self.shared.core.borrow_mut().found(finding));
        let over = self.shared.core.borrow().stop.is_some();
        if !findings.is_empty() && self.attached() && self.state == State::Running && !over {
            let about = findings.iter().find_map(|finding| finding.context.as_ref()).map(|context| context.runner);
            let runner = about.or(runner).or(self.last);
            self.stop(StopReason::Finding { findings, at_instruction: false }, runner, port);
            return true;
        }
        over
    }
}
