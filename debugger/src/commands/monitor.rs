//! The commands behind gdb's `monitor`.

use std::time::Duration;

use super::{Command, CommandError, Config, Debugger, Output, Reaction};
use crate::gdb::{BasicCommands, MonitorCommands};
use crate::inferior::{Inferior, Notice, Status};

/// A session's commands for a client that has its own way to run and stop the machine, and its own breakpoints.
pub struct Monitor {
    debugger: Debugger,
}

impl Monitor {
    /// A session of its own.
    pub fn new(config: Config) -> Self {
        Monitor { debugger: Debugger::new(config) }
    }

    fn attempt(&mut self, inferior: &mut dyn Inferior, line: &str) -> Result<Output, CommandError> {
        let line = match line.trim() {
            "" => "help",
            // With the numbers that gdb gives threads.
            line @ ("tasks" | "cpus" | "tick" | "version") => return Ok(BasicCommands.run(inferior, line).into()),
            line => line,
        };
        let command = Command::parse(line)?;
        let own =
            |what: &str| Err(CommandError::Refused(format!("{what} is for gdb's own commands, not for `monitor`")));
        match &command {
            Command::Break(_) => return own("a breakpoint"),
            Command::Leave(_) => return own("leaving"),
            Command::Interrupt(_) => return own("stopping the machine"),
            Command::WhoWrote(command) if command.go => return own("going to another moment"),
            Command::Goto(_) => return own("going to another moment"),
            command if command.searches() => {}
            command if command.resumes() => return own("running the machine"),
            Command::Watch(watch) if !watch.options.log => {
                return Err(CommandError::Refused(
                    "a watch of `monitor` can only --log: use gdb's `watch` to stop".to_owned(),
                ));
            }
            _ => {}
        }
        let reply = self.debugger.run_command(inferior, command)?;
        let mut output = reply.output;
        if reply.resumed {
            output.append(&self.wait_for_search(inferior)?);
        }
        for line in reply.queued {
            output.append(&self.attempt(inferior, &line)?);
        }
        Ok(output)
    }

    /// gdb waits for the answer to its command; so does this.
    fn wait_for_search(&mut self, inferior: &mut dyn Inferior) -> Result<Output, CommandError> {
        let mut output = Output::new();
        loop {
            for notice in inferior.notices(Duration::from_millis(100))? {
                let done = matches!(notice, Notice::Found(_));
                output.append(&self.debugger.on_notice(inferior, &notice)?.output);
                if done {
                    return Ok(output);
                }
            }
            if !matches!(inferior.status(), Status::Running) {
                return Ok(output);
            }
        }
    }

    /// Hears of what the machine tells by itself: events for the log, the task that stopped. Lets nothing run.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn on_notice(&mut self, inferior: &mut dyn Inferior, notice: &Notice) -> Result<Output, CommandError> {
        match notice {
            Notice::Event(_) | Notice::Ended(..) => {
                let Reaction { output, .. } = self.debugger.on_notice(inferior, notice)?;
                Ok(output)
            }
            Notice::Stopped(stop) => {
                if let Some(context) = &stop.context {
                    self.debugger.select_task(context.runner);
                }
                Ok(Output::new())
            }
            Notice::Console(_) | Notice::Module(_) | Notice::Found(_) => Ok(Output::new()),
        }
    }
}

impl MonitorCommands for Monitor {
    fn run(&mut self, inferior: &mut dyn Inferior, line: &str) -> String {
        match self.attempt(inferior, line) {
            Ok(output) => output.to_string(),
            Err(CommandError::Unknown { name, near }) if near.is_empty() => {
                format!("there is no command `{name}`: monitor help lists them\n")
            }
            Err(error) => format!("{error}\n"),
        }
    }
}
