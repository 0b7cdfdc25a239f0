//! Events as lines: for people, and as JSON.

use serde_json::{Map, Value, json};

use super::{Category, Field, Phase, TraceEvent};

/// A line for a person, without its end.
pub fn to_text(event: &TraceEvent) -> String {
    let TraceEvent { tick, time, cpu, thread, category, phase, name, fields, other, took_ns } = event;
    let mut line = format!("[{time:>12}] {:>10} {:<5} {:<20} ", tick.0, cpu.to_string(), thread.to_string());
    let of = |field: &str| event.field(field).map(Field::to_string);
    match (category, phase) {
        (Category::Syscall, Phase::Begin) => line += &format!("{name}({}) …", of("args").unwrap_or_default()),
        (Category::Syscall | Category::Function | Category::Irq, Phase::End) => {
            line += &match (of("result"), category) {
                (Some(result), _) => format!("{name} … = {result}"),
                (None, Category::Syscall) => format!("{name} … = ?"),
                (None, _) => format!("{name} … }}"),
            };
        }
        (Category::Function | Category::Irq, Phase::Begin) => {
            line += &format!("{name}({}) {{", of("args").unwrap_or_default());
        }
        _ => {
            line += &format!("{}: {name}", category.name());
            if let Some(other) = other {
                line += &format!(" {other}");
            }
            for (name, value) in fields {
                match value {
                    Field::Text(text) => line += &format!(" {name}={text:?}"),
                    value => line += &format!(" {name}={value}"),
                }
            }
        }
    }
    if let Some(ns) = took_ns {
        line += &format!(" <{:.9}>", *ns as f64 / 1e9);
    }
    // The guest chooses names.
    line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One line of JSON, without its end. Addresses are numbers, `time` is nanoseconds of guest time.
pub fn to_json(event: &TraceEvent) -> Value {
    let TraceEvent { tick, time, cpu, category, phase, name, fields, other, took_ns, .. } = event;
    let thread = |thread: &super::Thread| json!({ "comm": thread.comm, "pid": thread.pid, "runner": thread.runner.0, "task": thread.task.0 });
    let mut line = json!({
        "tick": tick.0,
        "time": time.0,
        "cpu": cpu.0,
        "task": thread(&event.thread),
        "category": category,
        "phase": phase,
        "name": name,
    });
    if let Some(other) = other {
        line["other"] = thread(other);
    }
    if let Some(ns) = took_ns {
        line["took"] = (*ns).into();
    }
    if !fields.is_empty() {
        let fields: Map<String, Value> = fields
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Field::Int(value) => (*value).into(),
                    Field::Hex(value) => (*value).into(),
                    Field::Text(text) => text.clone().into(),
                };
                ((*name).to_owned(), value)
            })
            .collect();
        line["fields"] = fields.into();
    }
    line
}
