//! What the screen asks for, in order. While something takes long only one thing is listened for: that it be given up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crate::tui::event::Effect;

/// See the module.
pub(super) struct Asks {
    receiver: Receiver<Effect>,
    /// What came while only that was listened for.
    waiting: RefCell<VecDeque<Effect>>,
}

impl Asks {
    pub(super) fn new(receiver: Receiver<Effect>) -> Asks {
        Asks { receiver, waiting: RefCell::default() }
    }

    /// The next one, if there is one already.
    pub(super) fn next(&self) -> Result<Effect, TryRecvError> {
        self.waiting.borrow_mut().pop_front().map_or_else(|| self.receiver.try_recv(), Ok)
    }

    /// The next one; waits for it.
    pub(super) fn wait(&self, wait: Duration) -> Result<Effect, RecvTimeoutError> {
        self.waiting.borrow_mut().pop_front().map_or_else(|| self.receiver.recv_timeout(wait), Ok)
    }

    /// Whether what is under way is to be given up: the machine is to stop, or the screen is to be left or is gone. What
    /// else is asked for waits.
    pub(super) fn give_up(&self) -> bool {
        loop {
            match self.receiver.try_recv() {
                Ok(Effect::Interrupt) | Err(TryRecvError::Disconnected) => return true,
                Ok(effect) => {
                    let quits = effect == Effect::Quit;
                    self.waiting.borrow_mut().push_back(effect);
                    if quits {
                        return true;
                    }
                }
                Err(TryRecvError::Empty) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_does_not_stop_what_is_under_way_is_done_behind_it_in_order() {
        let (ask, asked) = channel();
        let asks = Asks::new(asked);
        let command = |line: &str| Effect::Command { line: line.into(), typed: true };
        assert!(!asks.give_up());
        ask.send(command("a")).unwrap();
        assert!(!asks.give_up());
        ask.send(command("b")).unwrap();
        ask.send(Effect::Interrupt).unwrap();
        ask.send(command("c")).unwrap();
        assert!(asks.give_up());
        assert!(!asks.give_up(), "each wish is told once");
        ask.send(Effect::Quit).unwrap();
        assert!(asks.give_up());
        for line in ["a", "b", "c"] {
            assert_eq!(asks.next(), Ok(command(line)));
        }
        assert_eq!(asks.wait(Duration::ZERO), Ok(Effect::Quit), "it is not forgotten");
        assert_eq!(asks.next(), Err(TryRecvError::Empty));
        drop(ask);
        assert!(asks.give_up());
    }
}
