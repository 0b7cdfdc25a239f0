//! Where panes are on the screen.
//!
//! A layout is a tree: rows and columns of parts with weights, and at its ends groups of panes, of which one can be
//! seen. There is one tree for small terminals and one for large ones.

use std::collections::BTreeMap;

use ratatui::layout::{Constraint, Direction, Layout as Splitter, Rect};
use serde::{Deserialize, Serialize};

use super::pane::Pane;

/// A part of a screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its share of the room.
    #[serde(default = "one")]
    pub weight: u16,
    /// What is in it.
    #[serde(flatten)]
    pub content: Content,
}

fn one() -> u16 {
    1
}

/// What is in a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Parts from left to right.
    Row(Vec<Part>),
    /// Parts from top to bottom.
    Column(Vec<Part>),
    /// Panes of which one is seen.
    Tabs(Vec<Pane>),
}

/// A layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its name.
    pub name: String,
    /// For terminals of at least [`WIDE`].
    pub large: Part,
    /// For smaller ones.
    pub small: Part,
}

/// Columns and rows from which on the large tree is used.
pub const WIDE: (u16, u16) = (130, 36);

/// A group of panes, on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number, counted along the tree.
    pub number: usize,
    /// Its panes.
    pub panes: Vec<Pane>,
    /// Where it is, its frame included.
    pub area: Rect,
}

impl Layout {
    /// The tree for a screen of this size.
    pub fn tree(&self, area: Rect) -> &Part {
        if area.width >= WIDE.0 && area.height >= WIDE.1 { &self.large } else { &self.small }
    }

    /// The same, to be changed.
    pub fn tree_mut(&mut self, area: Rect) -> &mut Part {
        if area.width >= WIDE.0 && area.height >= WIDE.1 { &mut self.large } else { &mut self.small }
    }

    /// The groups on a screen of this size.
    pub fn groups(&self, area: Rect) -> Vec<Group> {
        let mut groups = Vec::new();
        self.tree(area).place(area, &mut groups);
        groups
    }

    /// Whether it can be used: each pane once at most in each tree, no part empty, and not nested without end.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        for (tree, name) in [(&self.large, "large"), (&self.small, "small")] {
            let mut seen = BTreeMap::new();
            tree.check(0, &mut seen).map_err(|error| format!("layout {:?}, {name}: {error}", self.name))?;
        }
        Ok(())
    }
}

impl Part {
    fn new(weight: u16, content: Content) -> Part {
        Part { weight, content }
    }

    /// Panes of which one is seen.
    pub fn tabs(weight: u16, panes: &[Pane]) -> Part {
        Part::new(weight, Content::Tabs(panes.to_vec()))
    }

    fn place(&self, area: Rect, groups: &mut Vec<Group>) {
        let (parts, direction) = match &self.content {
            Content::Tabs(panes) => {
                groups.push(Group { number: groups.len(), panes: panes.clone(), area });
                return;
            }
            Content::Row(parts) => (parts, Direction::Horizontal),
            Content::Column(parts) => (parts, Direction::Vertical),
        };
        // A bar needs no more than its lines.
        let bar = |part: &Part| matches!(&part.content, Content::Tabs(panes) if panes[..] == [Pane::Timeline]);
        let constraints = parts.iter().map(|part| match direction {
            Direction::Vertical if bar(part) => Constraint::Length(if area.height >= 30 { 4 } else { 3 }),
            _ => Constraint::Fill(part.weight.max(1)),
        });
        let areas = Splitter::new(direction, constraints).split(area);
        for (part, area) in parts.iter().zip(areas.iter()) {
            part.place(*area, groups);
        }
    }

    fn check(&self, depth: u32, seen: &mut BTreeMap<Pane, ()>) -> Result<(), String> {
        if depth > 8 {
            return Err("it is nested too deeply: eight rows and columns at most".into());
        }
        match &self.content {
            Content::Tabs(panes) => {
                if panes.is_empty() {
                    return Err("a group without panes".into());
                }
                match panes.iter().find(|pane| seen.insert(**pane, ()).is_some()) {
                    Some(pane) => Err(format!("{} is there twice", pane.title())),
                    None => Ok(()),
                }
            }
            Content::Row(parts) | Content::Column(parts) => {
                if parts.is_empty() {
                    return Err("a row or column without parts".into());
                }
                parts.iter().try_for_each(|part| part.check(depth + 1, seen))
            }
        }
    }

    /// Gives the part with this group more room, or less, among its neighbours. Says whether anything changed.
    pub fn resize(&mut self, group: usize, direction: Direction, more: bool) -> bool {
        self.resize_from(group, direction, more, &mut 0).unwrap_or(false)
    }

    /// None if the group is not in here; else whether something has changed.
    fn resize_from(&mut self, group: usize, wanted: Direction, more: bool, next: &mut usize) -> Option<bool> {
        let (parts, direction) = match &mut self.content {
            Content::Tabs(_) => {
                *next += 1;
                return (*next - 1 == group).then_some(false);
            }
            Content::Row(parts) => (parts, Direction::Horizontal),
            Content::Column(parts) => (parts, Direction::Vertical),
        };
        let alone = parts.len() < 2;
        for part in parts.iter_mut() {
            let Some(changed) = part.resize_from(group, wanted, more, next) else { continue };
            if changed || direction != wanted || alone {
                return Some(changed);
            }
            let weight = if more { part.weight.saturating_add(1) } else { part.weight.saturating_sub(1) };
            let weight = weight.clamp(1, 100);
            let changed = weight != part.weight;
            part.weight = weight;
            return Some(changed);
        }
        None
    }
}

/// The layouts that come with the program.
pub fn built_in() -> Vec<Layout> {
    use Pane::*;
    let row = |weight, parts| Part::new(weight, Content::Row(parts));
    let column = |weight, parts| Part::new(weight, Content::Column(parts));
    let tabs = Part::tabs;
    let line = || tabs(1, &[Timeline]);
    vec![
        Layout {
            name: "debug".into(),
            large: column(
                1,
                vec![
                    row(
                        1,
                        vec![
                            column(
                                13,
                                vec![
                                    tabs(12, &[Source]),
                                    row(7, vec![tabs(10, &[Stack]), tabs(9, &[Variables])]),
                                    tabs(8, &[Console]),
                                ],
                            ),
                            column(
                                10,
                                vec![
                                    tabs(8, &[Disassembly, Cpus]),
                                    tabs(7, &[Tasks, Memory, Timers]),
                                    tabs(5, &[Points, Findings]),
                                    tabs(7, &[Stop, Commands, Events]),
                                ],
                            ),
                        ],
                    ),
                    line(),
                ],
            ),
            small: column(
                1,
                vec![
                    tabs(11, &[Source, Disassembly, Cpus, Tasks, Memory, Console, Timers]),
                    tabs(9, &[Stop, Stack, Variables, Points, Commands, Events, Findings]),
                    line(),
                ],
            ),
        },
        Layout {
            name: "machine".into(),
            large: column(
                1,
                vec![
                    row(
                        1,
                        vec![
                            column(11, vec![tabs(3, &[Cpus]), tabs(3, &[Tasks, Timers])]),
                            column(
                                10,
                                vec![
                                    tabs(9, &[Console]),
                                    tabs(6, &[Stack, Source, Disassembly, Variables, Memory]),
                                    tabs(6, &[Stop, Commands, Points]),
                                    tabs(6, &[Events, Findings]),
                                ],
                            ),
                        ],
                    ),
                    line(),
                ],
            ),
            small: column(
                1,
                vec![
                    tabs(10, &[Cpus, Tasks, Timers, Source, Disassembly, Memory]),
                    tabs(9, &[Console, Stack, Variables, Points, Stop, Commands, Events, Findings]),
                    line(),
                ],
            ),
        },
        Layout {
            name: "memory".into(),
            large: column(
                1,
                vec![
                    row(
                        1,
                        vec![
                            column(10, vec![tabs(15, &[Memory]), tabs(10, &[Console, Events, Findings])]),
                            column(
                                11,
                                vec![
                                    tabs(9, &[Source, Disassembly, Cpus, Tasks, Timers]),
                                    row(6, vec![tabs(1, &[Stack]), tabs(1, &[Variables])]),
                                    tabs(4, &[Points]),
                                    tabs(7, &[Stop, Commands]),
                                ],
                            ),
                        ],
                    ),
                    line(),
                ],
            ),
            small: column(
                1,
                vec![
                    tabs(11, &[Memory, Source, Disassembly, Console, Cpus, Tasks]),
                    tabs(9, &[Points, Stop, Stack, Variables, Commands, Events, Findings]),
                    line(),
                ],
            ),
        },
        Layout {
            name: "console".into(),
            large: column(1, vec![row(4, vec![tabs(3, &[Console]), tabs(2, &[Cpus, Tasks, Stack, Source])]), line()]),
            small: column(1, vec![tabs(1, &[Console, Cpus, Tasks, Stack, Source, Commands]), line()]),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_layouts_can_be_used_and_fill_the_screen() {
        for layout in built_in() {
            layout.check().unwrap();
            for area in [Rect::new(0, 1, 80, 22), Rect::new(0, 1, 200, 58), Rect::new(0, 0, 3, 2)] {
                let groups = layout.groups(area);
                let cells: u32 = groups.iter().map(|group| group.area.area()).sum();
                assert_eq!(cells, area.area(), "{} at {area:?}", layout.name);
            }
        }
    }

    #[test]
    fn every_pane_is_in_the_first_layout_at_both_sizes() {
        for area in [Rect::new(0, 0, 80, 22), Rect::new(0, 0, 200, 58)] {
            let groups = built_in()[0].groups(area);
            for pane in Pane::ALL {
                assert!(groups.iter().any(|group| group.panes.contains(&pane)), "{pane:?} at {area:?}");
            }
        }
    }

    #[test]
    fn a_group_gets_more_room_in_the_direction_asked_for() {
        let area = Rect::new(0, 0, 200, 58);
        let mut layout = built_in().remove(0);
        let before = layout.groups(area);
        let stack = before.iter().find(|group| group.panes == [Pane::Stack]).unwrap().number;
        assert!(layout.large.resize(stack, Direction::Horizontal, true));
        assert!(layout.groups(area)[stack].area.width > before[stack].area.width);
        assert_eq!(layout.groups(area)[stack].area.height, before[stack].area.height);
        assert!(layout.large.resize(stack, Direction::Vertical, true));
        assert!(layout.groups(area)[stack].area.height > before[stack].area.height);
        assert!(!layout.large.resize(99, Direction::Vertical, true));
    }

    #[test]
    fn layouts_that_cannot_be_used_are_refused() {
        let part = |content| Part { weight: 1, content };
        let layout = |small| Layout { name: "x".into(), large: Part::tabs(1, &[Pane::Cpus]), small };
        assert!(layout(part(Content::Row(vec![]))).check().unwrap_err().contains("without parts"));
        assert!(layout(Part::tabs(1, &[])).check().unwrap_err().contains("without panes"));
        assert!(layout(Part::tabs(1, &[Pane::Cpus, Pane::Cpus])).check().unwrap_err().contains("twice"));
        let mut deep = Part::tabs(1, &[Pane::Cpus]);
        for _ in 0..9 {
            deep = part(Content::Row(vec![deep]));
        }
        assert!(layout(deep).check().unwrap_err().contains("deeply"));
    }
}
