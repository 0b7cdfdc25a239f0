//! The loop: events in, frames out.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::Backend;

use super::event::{Effect, Event, FromSession};
use super::session::Gate;
use super::state::State;
use super::update::update;
use super::view::draw;

/// Between two frames that nobody's key asked for.
const FRAME: Duration = Duration::from_millis(16);

/// Events that are dealt with before the next frame, at most.
const BATCH: usize = 256;

/// What a run of the loop measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// From when a key or a move of the mouse was taken to when the frame that shows it was drawn.
    pub latencies: Vec<Duration>,
    /// Frames drawn.
    pub frames: u64,
}

/// An event, and when it came.
pub type Timed = (Instant, Event);

/// Shows the state, and changes it by what comes, until it is over. With `measure`, keeps the latencies.
///
/// # Errors
/// The terminal cannot be written to.
pub fn run<B: Backend>(
    terminal: &mut Terminal<B>,
    state: &mut State,
    events: &Receiver<Timed>,
    effects: &Sender<Effect>,
    gate: &Gate,
    measure: bool,
) -> Result<Measured, B::Error> {
    let mut measured = Measured::default();
    let mut drawn = Instant::now();
    terminal.draw(|frame| draw(frame, state))?;
    measured.frames += 1;
    let mut stale = false;
    while !state.over {
        let wait = if stale { FRAME.saturating_sub(drawn.elapsed()) } else { Duration::from_secs(60) };
        let first = match events.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            // Nobody is left to tell anything.
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut input = Vec::new();
        for (at, event) in first.into_iter().chain(events.try_iter()).take(BATCH) {
            match &event {
                Event::Key(_) | Event::Mouse(_) | Event::Paste(_) | Event::Resize(..) => input.push(at),
                Event::Session(_) | Event::Leave => {}
            }
            let sample = matches!(event, Event::Session(FromSession::Sample(_)));
            for effect in update(state, event) {
                // A session that is gone has said so.
                let _ = effects.send(effect);
            }
            if sample {
                gate.passed();
            }
            stale = true;
        }
        // A key is answered at once; what the session tells, so many times a second.
        if stale && (!input.is_empty() || drawn.elapsed() >= FRAME) {
            if std::mem::take(&mut state.anew) {
                terminal.clear()?;
            }
            terminal.draw(|frame| draw(frame, state))?;
            measured.frames += 1;
            drawn = Instant::now();
            stale = false;
            if measure {
                measured.latencies.extend(input.iter().map(|at| drawn.saturating_duration_since(*at)));
            }
        }
    }
    Ok(measured)
}
