//! `wkdb explain`, through the real binary, on recordings of guests with planted bugs: who planted each is named.
//!
//! Every file in `expected` is what is said of one, and all of it is compared, for the guest does the same in every run.
//! `BLESS=1` renews what is expected.

mod bugs;
mod expected;
mod gdb;
mod given_up;
mod moments;
mod nothing;
mod quirk;
mod recall;
mod recorded;
