//! The monitor that reads the kernel's structures, for all detectors that do: `debugger/src/kernel/detect` looks and tells,
//! this gives it the machine.

use wkdb_debugger::kernel::detect::{
    self, Callee, Host, Kind, Kinds, Landmarks, LostBaton, Patrol, Seat, Suspect, tell,
};
use wkdb_tracer::{Area, Context, Cpu, Detector, Finding, Frame, GuestTime, RunnerId, TaskId};

use super::super::memory::GuestMemory;
use super::monitor::{Monitor, Occasion};
use super::{DetectConfig, Guest};

/// See the module.
pub(super) struct KernelPatrol {
    patrol: Patrol,
    marks: Landmarks,
    callbacks: bool,
}

/// The detectors that read the kernel's structures.
const KINDS: &[(Detector, Kind)] = &[
    (Detector::Timers, Kind::Timers),
    (Detector::Workqueues, Kind::Workqueues),
    (Detector::Rcu, Kind::Rcu),
    (Detector::Callbacks, Kind::Callbacks),
    (Detector::Lockup, Kind::Lockup),
    (Detector::Baton, Kind::Baton),
];

impl KernelPatrol {
    /// The one that a configuration asks for, if it does.
    pub(super) fn of(config: &DetectConfig, landmarks: impl FnOnce() -> Landmarks) -> Option<KernelPatrol> {
        let wanted = KINDS.iter().filter(|(detector, _)| config.has(*detector));
        let mut kinds = wanted.fold(Kinds::default(), |kinds, (_, kind)| kinds.with(*kind));
        if kinds.is_empty() {
            return None;
        }
        // Who looks at timers, work and RCU looks at what they will call.
        if [Kind::Timers, Kind::Workqueues, Kind::Rcu].into_iter().any(|kind| kinds.has(kind)) {
            kinds = kinds.with(Kind::Callbacks);
        }
        let marks = landmarks();
        let patrol = Patrol::new(marks.clone(), kinds);
        Some(KernelPatrol { patrol, marks, callbacks: config.has(Detector::Callbacks) })
    }

    /// By whose name a suspect is reported.
    fn detector(&self, suspect: &Suspect) -> Detector {
        match (suspect.kind(), suspect) {
            (Kind::Timers, _) => Detector::Timers,
            (Kind::Workqueues, _) => Detector::Workqueues,
            (Kind::Rcu, _) => Detector::Rcu,
            (Kind::Lockup, _) => Detector::Lockup,
            (Kind::Baton, _) => Detector::Baton,
            (Kind::Callbacks, _) if self.callbacks => Detector::Callbacks,
            (_, Suspect::BadCallback { what: Callee::Timer, .. }) => Detector::Timers,
            (_, Suspect::BadCallback { what: Callee::Work, .. }) => Detector::Workqueues,
            (_, _) => Detector::Rcu,
        }
    }

    fn finding(&self, suspect: &Suspect, guest: &mut Guest<'_>) -> Option<Finding> {
        let lost = guest.lost_batons();
        let report = {
            let kernel = guest.kernel()?;
            tell(suspect, &kernel, &self.marks, &lost)?
        };
        let mut finding = Finding::new(self.detector(suspect), report.headline);
        finding.details = report.details;
        finding.area = report.area.map(|(address, len)| Area { address, len });
        if let Suspect::Baton { cpu, .. } = suspect {
            finding.context = lost.iter().find(|lost| lost.cpu == *cpu).map(|lost| Context {
                runner: lost.runner,
                task: TaskId(lost.task),
                comm: lost.comm.clone(),
                cpu: Cpu(*cpu),
                tick: guest.tick(),
                time: guest.now(),
            });
        } else if let Some(runner) = report.runner {
            finding = finding.about(guest.context(runner)).at(guest.stack(runner));
        }
        Some(finding)
    }

    fn look_at(&mut self, occasion: detect::Occasion, guest: &mut Guest<'_>) -> Vec<Suspect> {
        let (memory, at) = (guest.memory(), guest.now());
        self.patrol.look(&mut Eyes { guest, memory, at }, occasion)
    }
}

impl Monitor for KernelPatrol {
    fn look(&mut self, occasion: Occasion, guest: &mut Guest<'_>) -> Vec<Finding> {
        let suspects = match occasion {
            Occasion::Interval | Occasion::Hog | Occasion::Panic(None) => {
                self.look_at(detect::Occasion::Interval, guest)
            }
            Occasion::Deadlock | Occasion::Spin => self.look_at(detect::Occasion::End, guest),
            Occasion::Trap(runner) | Occasion::Panic(Some(runner)) => {
                self.look_at(detect::Occasion::Trap(runner), guest)
            }
        };
        suspects.iter().filter_map(|suspect| self.finding(suspect, guest)).collect()
    }
}

/// The machine as detectors see it, at some moment.
struct Eyes<'e, 'm> {
    guest: &'e mut Guest<'m>,
    memory: GuestMemory,
    at: GuestTime,
}

impl Host for Eyes<'_, '_> {
    fn now(&self) -> GuestTime {
        self.at
    }

    fn number(&self, address: u64, size: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory.read(address, bytes.get_mut(..size as usize)?).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn seats(&self) -> Vec<Seat> {
        self.guest.seats()
    }

    fn lost_batons(&self) -> Vec<LostBaton> {
        self.guest.lost_batons()
    }

    fn frames(&mut self, runner: RunnerId) -> Vec<Frame> {
        self.guest.stack(runner)
    }
}
