//! RCU: callbacks that cannot be called, and grace periods that do not end.

use super::landmarks::Rcu;
use super::look::Look;
use super::{Callee, Chain, Kind, Suspect};

/// Callbacks of one list that are looked at.
const MOST_CALLBACKS: usize = 2000;

/// Looks at all callbacks and at the grace period.
pub(super) fn check(look: &mut Look<'_>) {
    let Some(rcu) = look.marks.rcu.as_ref() else { return };
    if look.wants(Kind::Callbacks) {
        for (cpu, offset) in look.cpus() {
            let data =
                rcu.data.wrapping_add(offset) & if look.marks.word == 8 { u64::MAX } else { u64::from(u32::MAX) };
            if rcu.lock.is_some_and(|lock| look.is_locked(data, lock)) {
                continue;
            }
            for &head in &rcu.heads {
                chain(look, rcu, data.wrapping_add(head), cpu);
            }
        }
    }
    if look.wants(Kind::Rcu) {
        grace_period(look, rcu);
    }
}

fn chain(look: &mut Look<'_>, rcu: &Rcu, head: u64, cpu: u32) {
    let mut at = head;
    let mut next = look.word(head).unwrap_or(0);
    for _ in 0..MOST_CALLBACKS {
        if next == 0 {
            break;
        }
        if !look.is_pointer(next) {
            look.suspect(Suspect::BrokenChain { what: Chain::Callbacks, of: u64::from(cpu), at, next });
            break;
        }
        if let Some(pointer) = look.at(next, rcu.function)
            && !rcu.callable.has(pointer)
        {
            look.suspect(Suspect::BadCallback { what: Callee::Rcu, object: next, pointer, cpu });
            // What lies behind it is no callback either, most likely.
            break;
        }
        at = next;
        next = look.word(next.wrapping_add(rcu.next)).unwrap_or(0);
    }
}

fn grace_period(look: &mut Look<'_>, rcu: &Rcu) {
    let Some((address, size)) = rcu.gp_seq else { return };
    let Some(seq) = look.number(address, size) else { return };
    let under_way = match (rcu.gp_bits, rcu.pending) {
        // The two lowest bits say so.
        (true, _) => seq & 3 != 0,
        (false, Some(pending)) => look.cpus().into_iter().any(|(_, offset)| {
            let data = rcu.data.wrapping_add(offset);
            look.at(data, pending).is_some_and(|pending| pending != 0)
        }),
        (false, None) => false,
    };
    if under_way {
        look.suspect(Suspect::GracePeriod { seq });
    }
}
