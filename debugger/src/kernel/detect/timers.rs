//! Timer wheels: a clock that is not where it can be, and timers that are due while their CPU sleeps.
//!
//! An idle CPU's wheel may lag behind jiffies for as long as nothing in it is due, and jiffies may stand still while all
//! CPUs sleep. So the guest's own clock says what is due. A CPU that is busy is late with its timers; that is no stall
//! of the wheel. The timers of a CPU that nobody runs on stand still too: that is its lost baton's doing.

use super::look::Look;
use super::{Callee, Chain, Kind, MS, SECOND, Suspect};

/// Shifts and sizes of a wheel's levels: the same in every kernel since 4.8.
const LEVEL_SHIFT: u64 = 3;
const LEVEL_BITS: u64 = 6;

/// Entries of a bucket that are looked at.
const MOST_TIMERS: usize = 200;

/// How late a timer may be, in nanoseconds.
const LATE: u64 = 400 * MS;

/// Ticks a second that kernels have.
const RATES: [u64; 12] = [24, 48, 64, 100, 128, 200, 250, 256, 300, 500, 1000, 1024];

/// Kernels count jiffies from so many seconds before the 32-bit counter wraps.
const BEFORE_WRAP: u64 = 300;

/// How jiffies go with the guest's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// Ticks a second.
    rate: Option<u64>,
    /// Jiffies minus what the guest's clock says, when they were least behind.
    lead: Option<i64>,
    /// Jiffies, as a `long` has them, as they are and as they should be.
    jiffies: Option<u64>,
    due: Option<u64>,
    mask: u64,
}

impl Clock {
    /// Looks at the clocks.
    pub(super) fn see(&mut self, look: &Look<'_>) {
        self.mask = if look.marks.word == 8 { u64::MAX } else { u64::from(u32::MAX) };
        let Some(jiffies) = look.marks.jiffies.and_then(|at| look.number(at, look.marks.word)) else { return };
        let jiffies = jiffies & self.mask;
        if self.rate.is_none() {
            let left = (1_u64 << 32).saturating_sub(jiffies & u64::from(u32::MAX));
            let passed = look.now / SECOND;
            // Once some time has passed nobody can say what it counted from.
            let rate = RATES.into_iter().min_by_key(|rate| (rate * (BEFORE_WRAP - passed.min(10))).abs_diff(left));
            self.rate = rate.filter(|rate| passed <= 10 && (rate * BEFORE_WRAP).abs_diff(left) <= rate * 12);
        }
        let Some(rate) = self.rate else { return };
        let clock = (u128::from(look.now) * u128::from(rate) / u128::from(SECOND)) as u64;
        let lead = self.between(jiffies, clock & self.mask);
        // The wrapped difference goes on being small where it once was.
        let least = self.lead.map_or(lead, |least| if self.longs(lead, least) > 0 { lead } else { least });
        self.lead = Some(least);
        self.jiffies = Some(jiffies);
        self.due = Some(clock.wrapping_add_signed(least) & self.mask);
    }

    /// `a - b` of two counts that may have wrapped.
    fn between(&self, a: u64, b: u64) -> i64 {
        match self.mask {
            u64::MAX => a.wrapping_sub(b).cast_signed(),
            _ => i64::from((a as u32).wrapping_sub(b as u32).cast_signed()),
        }
    }

    fn longs(&self, a: i64, b: i64) -> i64 {
        self.between(a.cast_unsigned() & self.mask, b.cast_unsigned() & self.mask)
    }

    fn jiffies_of(&self, ns: u64) -> i64 {
        let ticks = u128::from(ns) * u128::from(self.rate.unwrap_or(0)) / u128::from(SECOND);
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }
}

/// Looks at all wheels.
pub(super) fn check(look: &mut Look<'_>, clock: &Clock) {
    let Some(wheels) = look.marks.wheels.as_ref() else { return };
    let (Some(jiffies), Some(due), Some(_)) = (clock.jiffies, clock.due, clock.rate) else { return };
    if !look.wants(Kind::Timers) && !look.wants(Kind::Callbacks) {
        return;
    }
    for (cpu, offset) in look.cpus() {
        let asleep = look.is_asleep(cpu, offset);
        for number in 0..wheels.count.min(16) {
            let base = wheels.bases.wrapping_add(wheels.size * number).wrapping_add(offset) & clock.mask;
            let Some(clk) = look.at(base, wheels.clk) else { continue };
            // One that was not made yet is all zeros.
            if clk != 0 && clock.between(clk, jiffies) > clock.jiffies_of(SECOND) {
                look.suspect(Suspect::WheelAhead { cpu, base: number, address: base });
            }
            if look.is_locked(base, wheels.lock) {
                continue;
            }
            // Timers that may be put off wait until their CPU is awake for another reason.
            let can_wait = wheels.count > 1 && number + 1 == wheels.count;
            let mut worst: Option<(i64, u64, u64)> = None;
            for index in pending(look, base) {
                let level = index >> LEVEL_BITS;
                let step = 1_u64 << (LEVEL_SHIFT * level).min(40);
                let head = base.wrapping_add(wheels.buckets + index * wheels.bucket_size);
                let (entries, broken) = match wheels.bucket_size == look.marks.word {
                    true => look.hlist(head, MOST_TIMERS),
                    false => look.list(head, MOST_TIMERS),
                };
                if let Some((at, next)) = broken {
                    look.suspect(Suspect::BrokenChain { what: Chain::Bucket, of: base, at, next });
                }
                for entry in entries {
                    let timer = entry.wrapping_sub(wheels.entry);
                    let Some(expires) = look.at(timer, wheels.expires) else { continue };
                    if let Some(pointer) = look.at(timer, wheels.function)
                        && !wheels.callable.has(pointer)
                    {
                        let what = Callee::Timer;
                        look.suspect(Suspect::BadCallback { what, object: timer, pointer, cpu });
                    }
                    // Each level rounds up to its own step; Linux does so even where there is nothing to round.
                    let fires = (expires & !(step - 1)).wrapping_add(step);
                    let late = clock.between(due, fires & clock.mask);
                    if late > clock.jiffies_of(LATE) && worst.is_none_or(|(most, ..)| late > most) {
                        worst = Some((late, timer, expires));
                    }
                }
            }
            if let Some((_, timer, expires)) = worst
                && asleep
                && !can_wait
            {
                look.suspect(Suspect::TimerOverdue { cpu, base: number, timer, expires });
            }
        }
    }
}

/// The buckets of a wheel that have timers, by its own account.
fn pending(look: &Look<'_>, base: u64) -> Vec<u64> {
    let Some(wheels) = look.marks.wheels.as_ref() else { return Vec::new() };
    let mut found = Vec::new();
    for word in 0..wheels.bucket_count.min(4096).div_ceil(64) {
        let mut bits = look.number(base.wrapping_add(wheels.map + word * 8), 8).unwrap_or(0);
        while bits != 0 {
            let index = word * 64 + u64::from(bits.trailing_zeros());
            if index < wheels.bucket_count {
                found.push(index);
            }
            bits &= bits - 1;
        }
    }
    found
}
