//! The machine under a debugger, in this process: breakpoints, steps, stops, and what can be seen at them.

mod breakpoints;
mod frames;
mod loads;
mod same_run;
mod session;
mod steps;
mod stops;

pub(crate) use session::{Session, at};
