//! A port that keeps what a machine tells, with nobody at the console.

use std::time::Duration;

use wkdb::machine::{Command, Output, Port};
use wkdb_tracer::Event;

/// What was told.
#[derive(Default)]
pub(crate) struct Collect {
    pub(crate) console: Vec<u8>,
    pub(crate) events: Vec<Event>,
}

impl Port for Collect {
    fn output(&mut self, output: Output) {
        match output {
            Output::Console(bytes) => self.console.extend(bytes),
            Output::Event(event) => self.events.push(event),
            _ => {}
        }
    }

    fn commands(&mut self, _: Option<Duration>) -> Vec<Command> {
        Vec::new()
    }
}
