//! Monitors: detectors that look at the whole guest every now and then.

use wkdb_tracer::{Detector, Finding, GuestTime, RunnerId};

use super::super::attended::State;
use super::super::executor::{Machine, Port};
use super::{DetectConfig, Guest, Trapped};
use wkdb_debugger::inferior::StopReason;

/// How much guest time passes from one look to the next, in nanoseconds, while tasks run.
const INTERVAL_NS: u64 = 250_000_000;

/// Why a monitor is to look.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) enum Occasion<'a> {
    /// Some guest time has passed; the machine is between two slices.
    Interval,
    /// Nobody can run, and the guest's clock is about to jump over the time at which it would be looked again. Until it
    /// has jumped nothing changes but the time.
    Idle {
        /// To this moment.
        until: GuestTime,
    },
    /// Every task waits and nothing can wake one: the run ends.
    Deadlock,
    /// Tasks run and nothing comes of it: the run ends.
    Spin,
    /// A task has held its CPU for long.
    Hog(RunnerId),
    /// A task has trapped. The kernel has not dealt with it yet; the call stack is in here alone.
    Trap(&'a Trapped),
    /// The guest kernel gave up.
    Panic(Option<RunnerId>),
}

/// A detector that looks at the whole guest. It may remember what it saw before: a machine has one of each, which is
/// copied with it.
///
/// What it finds must depend on the guest alone: not on the time outside, nor on how the code is compiled, nor on other
/// detectors. It reads; it cannot change anything. It must get by with whatever memory holds, and be quick: while the
/// guest idles it is called for each jump of the clock over an interval.
pub(in crate::machine) trait Monitor {
    /// Which detector it is.
    fn detector(&self) -> Detector;

    /// Whether it is to look on such an occasion.
    fn wants(&self, occasion: Occasion<'_>) -> bool {
        let _ = occasion;
        true
    }

    /// Looks, and tells what is wrong. What it told before and is still so it does not tell again.
    fn look(&mut self, occasion: Occasion<'_>, guest: &mut Guest<'_>) -> Vec<Finding>;
}

/// The monitors of a machine, and when they look next.
#[derive(Default)]
pub(in crate::machine) struct Monitors {
    all: Vec<Box<dyn Monitor>>,
    next: GuestTime,
}

impl Monitors {
    /// Those that a configuration asks for, in the order of [`Detector::ALL`].
    pub(in crate::machine) fn of(config: &DetectConfig) -> Monitors {
        let all = Detector::ALL.into_iter().filter(|&detector| config.has(detector)).filter_map(monitor).collect();
        Monitors { all, next: GuestTime(INTERVAL_NS) }
    }

    /// Whether there are none.
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// The monitor that does a detector's work, if a monitor does.
fn monitor(detector: Detector) -> Option<Box<dyn Monitor>> {
    match detector {
        Detector::Stack
        | Detector::Null
        | Detector::UserStores
        | Detector::Guard
        | Detector::Timers
        | Detector::Workqueues
        | Detector::Rcu
        | Detector::Callbacks
        | Detector::Lockup
        | Detector::Baton
        | Detector::Trap => None,
    }
}

impl Machine {
    /// Between two slices: has monitors look, if it is time.
    pub(in crate::machine) fn look_now_and_then(&mut self, port: &mut dyn Port) {
        let now = self.shared.core.borrow().now;
        if now >= self.monitors.next && self.looks() {
            self.look_again_after(now);
            self.follow_guarded();
            self.have_looked(Occasion::Interval, None, port);
        } else if self.shared.core.borrow().detection.guards.is_due(now) {
            self.follow_guarded();
        }
    }

    /// Nobody can run: has monitors look, if it would be time before the clock has come to `until`.
    pub(in crate::machine) fn look_before_idling(&mut self, until: GuestTime, port: &mut dyn Port) {
        if until >= self.monitors.next && self.looks() {
            self.look_again_after(until);
            self.follow_guarded();
            self.have_looked(Occasion::Idle { until }, None, port);
        }
    }

    /// Whether anything is looked at.
    fn looks(&self) -> bool {
        !self.monitors.is_empty() || self.shared.core.borrow().detects(Detector::Guard)
    }

    fn look_again_after(&mut self, moment: GuestTime) {
        self.monitors.next = GuestTime((moment.0 / INTERVAL_NS + 1).saturating_mul(INTERVAL_NS));
    }

    /// Has the monitors look, tells what they find, and stops there if a debugger wants that. It is about `runner`, unless
    /// a finding names another one.
    pub(in crate::machine) fn have_looked(
        &mut self,
        occasion: Occasion<'_>,
        runner: Option<RunnerId>,
        port: &mut dyn Port,
    ) {
        if self.monitors.is_empty() {
            return;
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
        }
    }
}
