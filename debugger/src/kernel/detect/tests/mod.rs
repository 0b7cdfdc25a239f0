mod checks;
mod fake;
mod garbage;
mod marks;
