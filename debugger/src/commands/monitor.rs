//! The commands behind gdb's `monitor`.

use std::time::Duration;

use wkdb_tracer::{RunnerId, WatchHit};

use super::{Command, CommandError, Config, Debugger, GiveUp, Output, Reaction};
use crate::gdb::{BasicCommands, MonitorCommands, Remark};
use crate::inferior::{Inferior, InferiorError, Notice, Status, Stop, StopReason, WatchId};
use crate::kernel::ViewKind;

/// A session's commands for a client that has its own way to run and stop the machine, and its own breakpoints.
pub struct Monitor {
    debugger: Debugger,
    /// The task that the client has looked at last.
    looked_at: Option<RunnerId>,
}

impl Monitor {
    /// A session of its own.
    pub fn new(config: Config) -> Self {
        Monitor { debugger: Debugger::new(config), looked_at: None }
    }

    fn attempt(&mut self, inferior: &mut dyn Inferior, line: &str) -> Result<Output, CommandError> {
        let line = match line.trim() {
            "" => "help",
            // With the numbers that gdb gives threads.
            line @ ("tasks" | "cpus" | "tick" | "version") => return Ok(BasicCommands.run(inferior, line).into()),
            line => line,
        };
        // The kernel's views by their own names too: `monitor timers`.
        let view = line.split_whitespace().next().and_then(ViewKind::named).map(|_| format!("kernel {line}"));
        let command = Command::parse(view.as_deref().unwrap_or(line))?;
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
            if (self.debugger.give_up)() {
                inferior.interrupt()?;
            }
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

    /// Tells of the watches of `monitor` that the machine has stopped at; whether it has stopped for them alone.
    fn on_watches(&mut self, inferior: &mut dyn Inferior, stop: &Stop, hits: &[(WatchId, WatchHit)]) -> Remark {
        let mut output = Output::new();
        let mut goes_on = true;
        for (id, hit) in hits {
            match self.debugger.points.of_watch(*id) {
                Some(number) => {
                    if self.debugger.point_stops(inferior, number, stop.context.as_ref(), &mut output) {
                        output.append(&self.debugger.watch_line(inferior, number, hit));
                    }
                }
                None => goes_on = false,
            }
        }
        Remark { text: output.to_string(), goes_on }
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

    fn give_up_when(&mut self, asked: GiveUp) {
        self.debugger.give_up_when(asked);
    }

    fn look_at(&mut self, runner: RunnerId) {
        if self.looked_at.replace(runner) != Some(runner) {
            self.debugger.select_task(runner);
        }
    }

    fn on_notice(&mut self, inferior: &mut dyn Inferior, notice: &Notice) -> Remark {
        match notice {
            Notice::Event(_) | Notice::Found(_) => match self.debugger.on_notice(inferior, notice) {
                Ok(Reaction { output, .. }) => Remark { text: output.to_string(), goes_on: false },
                Err(error) => Remark { text: format!("{error}\n"), goes_on: false },
            },
            Notice::Stopped(stop) => {
                let remark = match &stop.reason {
                    StopReason::Watch(hits) => self.on_watches(inferior, stop, hits),
                    _ => Remark::default(),
                };
                // Conditions have been looked at in the task that stopped.
                self.looked_at = stop.context.as_ref().map(|context| context.runner);
                if let Some(runner) = self.looked_at {
                    self.debugger.select_task(runner);
                }
                remark
            }
            Notice::Ended(..) | Notice::Console(_) | Notice::Module(_) => Remark::default(),
        }
    }

    fn clear(&mut self, inferior: &mut dyn Inferior) -> Result<(), InferiorError> {
        let numbers: Vec<u32> = self.debugger.points.iter().map(|point| point.number).collect();
        for number in numbers {
            match self.debugger.delete_point(inferior, number) {
                Ok(()) => {}
                Err(CommandError::Inferior(error)) => return Err(error),
                Err(error) => return Err(InferiorError::Refused(error.to_string())),
            }
        }
        Ok(())
    }

    fn is_clear(&self) -> bool {
        self.debugger.points.iter().next().is_none()
    }
}
