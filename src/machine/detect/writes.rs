//! Writes into memory that is watched for detectors.

use wkdb_debugger::inferior::{WatchCondition, WatchKind, WatchSpec};
use wkdb_tracer::{Change, CodeOffset, Context, Detector, Finding, Frame, Writer};

use super::super::core::Core;
use super::super::executor::MachineError;
use super::super::images::Images;
use super::super::watch::Touched;
use super::{Guards, Violation, null};

/// What is to become of a write.
pub(in crate::machine) enum Verdict {
    /// It is told.
    Told(Finding),
    /// It is told if what it wrote is in use.
    IfInUse(Violation, Finding),
}

impl Core {
    /// Watches what the detectors want to be told of from the beginning.
    ///
    /// # Errors
    /// A rule cannot be read, or something cannot be watched.
    pub(in crate::machine) fn begin_to_detect(&mut self) -> Result<(), MachineError> {
        if self.detects(Detector::Null) {
            let condition = WatchCondition::default();
            let len = null::UNUSED.min(self.memory.limit());
            let spec = WatchSpec { address: 0, len, kind: WatchKind::Write, condition, stop: false };
            self.detection.null = Some(self.watches.insert_own(spec)?);
        }
        if self.detects(Detector::Guard) {
            self.detection.guards = Guards::new(&self.config.detect.guards)?;
        }
        Ok(())
    }

    /// Memory that is watched for a detector was touched. What the guest's code did waits for [`Core::judge`]; what the
    /// host did on its behalf is told at once.
    pub(in crate::machine) fn touched_own(&mut self, touched: Touched, writer: &Writer, context: Option<&Context>) {
        match writer {
            Writer::Guest { .. } => self.detection.touched.push(touched),
            Writer::Host { action } if Some(touched.watch) == self.detection.null => {
                let mut finding = null::finding(&touched).detail(format!("by the host, for the guest: {action}"));
                finding.context = context.cloned();
                self.found(&finding);
            }
            Writer::Host { .. } => {}
        }
    }

    /// Whether the guest's last instruction wrote something that is watched for a detector.
    pub(in crate::machine) fn has_touched(&self) -> bool {
        !self.detection.touched.is_empty()
    }

    /// Takes what owners have written out of what is to be judged, as far as this instruction of the kernel's is known to be
    /// an owner's.
    pub(in crate::machine) fn let_owners_write(&mut self, place: Option<CodeOffset>) {
        let Some(place) = place else { return };
        for touched in std::mem::take(&mut self.detection.touched) {
            match self.detection.guards.is_owners(touched.watch, place) {
                true => self.learn(&touched),
                false => self.detection.touched.push(touched),
            }
        }
    }

    /// What is to become of what the guest's last instruction wrote, whose call stack is `stack`. Each place in the code is
    /// told once by each detector.
    pub(in crate::machine) fn judge(&mut self, images: &Images, context: &Context, stack: &[Frame]) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let place = stack.first().map(|frame| frame.address);
        for touched in std::mem::take(&mut self.detection.touched) {
            let (verdict, detector) = if Some(touched.watch) == self.detection.null {
                (Some(Verdict::Told(null::finding(&touched))), Detector::Null)
            } else {
                let broken = self.detection.guards.breaks(images, touched.watch, stack);
                if broken.is_none() {
                    self.learn(&touched);
                }
                let verdict = broken.map(|(violation, text)| {
                    let Touched { address, old, new, .. } = &touched;
                    let mut finding = Finding::new(Detector::Guard, text).on(*address, new.len() as u64);
                    finding.change = Some(Change { old: Some(old.clone()), new: new.clone() });
                    Verdict::IfInUse(violation, finding)
                });
                (verdict, Detector::Guard)
            };
            let new = place.is_none_or(|place| !self.detection.told.contains(&(detector, place)));
            let named = |finding: Finding| finding.about(context.clone()).at(stack.to_vec());
            verdicts.extend(verdict.filter(|_| new).map(|verdict| match verdict {
                Verdict::Told(finding) => Verdict::Told(named(finding)),
                Verdict::IfInUse(violation, finding) => Verdict::IfInUse(violation, named(finding)),
            }));
        }
        verdicts
    }

    /// What the owner of a list wrote there may name what is to be guarded from now on.
    fn learn(&mut self, touched: &Touched) {
        let word = if self.wide { 8 } else { 4 };
        for part in self.detection.guards.learn(touched.watch, &touched.new, word) {
            let condition = WatchCondition { changed: true, ..WatchCondition::default() };
            let (address, len) = (part.1.address, part.1.len);
            let spec = WatchSpec { address, len, kind: WatchKind::Write, condition, stop: false };
            // What is no memory is no callback.
            if let Ok(watch) = self.watches.insert_own(spec)
                && let Some(old) = self.detection.guards.guard(watch, part)
            {
                self.watches.remove(old);
            }
        }
    }

    /// What a detector found at this place in the code is told only once.
    pub(in crate::machine) fn tell_once(&mut self, finding: &Finding) -> bool {
        let place = finding.stack.first().map(|frame| frame.address);
        place.is_none_or(|place| self.detection.told.insert((finding.detector, place)))
    }
}
