//! The `wkdb` program: everything is in the library.

use wkdb::cli::{self, Exit};

fn main() -> std::process::ExitCode {
    use std::process::Termination;
    match cli::main() {
        Ok(exit) => exit.report(),
        Err(error) => {
            eprintln!("wkdb: {error:#}");
            match error.downcast_ref::<cli::UsageError>() {
                Some(_) => Exit::Usage.report(),
                None => std::process::ExitCode::FAILURE,
            }
        }
    }
}
