//! A flame graph: an SVG in which each function is as wide as the ticks that it and what it called took.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::trace::Profile;

const WIDTH: f64 = 1600.0;
const ROW: f64 = 17.0;
const MARGIN: f64 = 30.0;
/// Narrower ones are left out, in pixels.
const NARROW: f64 = 0.3;

/// A function, by whom it was called.
#[derive(Default)]
struct Node {
    ticks: u64,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn add(&mut self, stack: &[String], ticks: u64) {
        let mut node = self;
        node.ticks += ticks;
        for name in stack {
            node = node.children.entry(name.clone()).or_default();
            node.ticks += ticks;
        }
    }
}

/// Writes a profile as a flame graph.
///
/// # Errors
///
/// As the writer's.
pub fn write_flamegraph(profile: &Profile, title: &str, out: &mut impl Write) -> io::Result<()> {
    let mut root = Node::default();
    for (stack, ticks) in profile.stacks() {
        root.add(stack, *ticks);
    }
    // Each with its depth and where it begins, in ticks. No recursion: stacks may be deep.
    let mut boxes: Vec<(usize, u64, &str, u64)> = Vec::new();
    let mut to_do: Vec<(&str, &Node, usize, u64)> = vec![("all", &root, 0, 0)];
    while let Some((name, node, depth, start)) = to_do.pop() {
        if node.ticks as f64 * WIDTH / (root.ticks.max(1) as f64) < NARROW {
            continue;
        }
        boxes.push((depth, start, name, node.ticks));
        let mut at = start;
        for (name, child) in &node.children {
            to_do.push((name, child, depth + 1, at));
            at += child.ticks;
        }
    }
    let rows = boxes.iter().map(|(depth, ..)| depth + 1).max().unwrap_or(1);
    let height = rows as f64 * ROW + 2.0 * MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff8ee\"/>\n<text x=\"10\" y=\"20\" \
         font-size=\"14\">{}</text>",
        escape(title)
    )?;
    for (depth, start, name, ticks) in boxes {
        let scale = WIDTH / root.ticks.max(1) as f64;
        let (x, width) = (start as f64 * scale, ticks as f64 * scale);
        let y = height - MARGIN - (depth + 1) as f64 * ROW;
        let share = ticks as f64 * 100.0 / root.ticks.max(1) as f64;
        let name = escape(name);
        // A letter is 6.6 pixels wide.
        let fits = (width / 6.6) as usize;
        let label: String = if fits < 3 { String::new() } else { unescaped_prefix(&name, fits) };
        writeln!(
            out,
            "<g><title>{name}: {ticks} ticks, {share:.2}%</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{:.1}\" fill=\"{}\" rx=\"1\"/><text x=\"{:.1}\" y=\"{:.1}\">{label}</text></g>",
            ROW - 1.0,
            color(&name),
            x + 2.0,
            y + 12.0,
        )?;
    }
    writeln!(out, "</svg>")
}

/// A warm color that depends on the name alone.
fn color(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("rgb({},{},{})", 205 + hash % 50, 90 + (hash >> 8) % 120, 50 + (hash >> 16) % 40)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// At most so many characters, none of them half of an entity.
fn unescaped_prefix(escaped: &str, count: usize) -> String {
    let cut: String = escaped.chars().take(count).collect();
    match cut.rfind('&') {
        Some(at) if !cut[at..].contains(';') => cut[..at].to_owned(),
        _ => cut,
    }
}
