//! The terminal's screen: the whole machine at once, to stop it, look anywhere, and go back in time.
//!
//! ```text
//! keys, mouse ─┐
//!              ├▶ Event ─▶ update(State) ─▶ Effect ─▶ session thread ─▶ Debugger + Inferior
//! samples   ─┤              │                              │
//!              │            view::draw ─▶ terminal           │
//!              └───────────────────────────────────────────┘
//! ```
//!
//! [`State`] is plain data, [`view::draw`] only reads it, and [`update`] is the one function that changes it, by one
//! [`Event`] at a time; what it wants of the machine it says by [`Effect`]s. The session ([`session`]) is on a thread of
//! its own: it samples the machine, and the screen never waits for it. Samples that the screen has no time for are not
//! taken, and counted.
//!
//! Nothing here knows of a terminal or of what runs the guest: [`app`] is given both.

pub mod app;
mod console;
mod data;
mod event;
pub mod layout;
mod pane;
pub mod sample;
pub mod session;
mod settings;
mod state;
mod theme;
mod update;
pub mod view;

pub use console::Console;
pub use data::{Changes, Data};
pub use event::{Effect, Event, FromSession, Wants};
pub use pane::Pane;
pub use settings::Settings;
pub use state::{Mode, State};
pub use theme::{Theme, ThemeName};
pub use update::update;

#[cfg(test)]
mod tests;
