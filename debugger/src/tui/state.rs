//! The state of the screen: plain data that one function changes ([`super::update`]) and others show ([`super::view`]).

use std::collections::BTreeMap;

use ratatui::layout::Rect;
use wkdb_tracer::{GuestTime, Tick};

use super::console::Console;
use super::data::Data;
use super::event::Wants;
use super::layout::{Group, Layout};
use super::pane::Pane;
use super::sample::{Mark, Memory, Text};
use super::settings::Settings;
use super::theme::{Theme, ThemeName};

/// What keys mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mode {
    /// They look around and drive the machine.
    #[default]
    Normal,
    /// They are typed at the guest's console.
    Typing,
    /// They edit a line.
    Prompt(Prompt),
    /// The help page, from this line on.
    Help(usize),
    /// The explanation of what went wrong, from this line on.
    Explanation(usize),
    /// The next one chooses: a pane, or the name of a bookmark.
    Prefix(Prefix),
    /// The next one says whether to leave.
    Leaving,
}

/// What waits for a second key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// `g`: go to a pane, or to the top.
    Go,
    /// `m`: set a bookmark.
    Mark,
    /// `'`: go to a bookmark.
    Jump,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// A command, behind `:`.
    Command,
    /// What to look for, behind `/`.
    Search,
}

/// A line that is edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What for.
    pub kind: PromptKind,
    /// The line.
    pub line: String,
    /// Where the cursor is, in bytes.
    pub cursor: usize,
    /// Candidates that fit, after Tab.
    pub candidates: Vec<String>,
    /// Which earlier line is shown, counted from the newest.
    pub earlier: Option<usize>,
    /// The line as it was before earlier ones were looked at.
    pub kept: String,
}

impl Prompt {
    /// An empty line, or one that begins like this.
    pub fn new(kind: PromptKind, line: &str) -> Prompt {
        Prompt {
            kind,
            line: line.to_owned(),
            cursor: line.len(),
            candidates: Vec::new(),
            earlier: None,
            kept: String::new(),
        }
    }
}

/// What the tasks are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaskOrder {
    /// As they were made.
    #[default]
    Number,
    /// By process id.
    Pid,
    /// By name.
    Name,
    /// By CPU.
    Cpu,
    /// Those that run first.
    State,
}

impl TaskOrder {
    /// The next one.
    pub fn next(self) -> TaskOrder {
        match self {
            TaskOrder::Number => TaskOrder::Pid,
            TaskOrder::Pid => TaskOrder::Name,
            TaskOrder::Name => TaskOrder::Cpu,
            TaskOrder::Cpu => TaskOrder::State,
            TaskOrder::State => TaskOrder::Number,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            TaskOrder::Number => "number",
            TaskOrder::Pid => "pid",
            TaskOrder::Name => "name",
            TaskOrder::Cpu => "cpu",
            TaskOrder::State => "state",
        }
    }
}

/// How a pane is looked at.
#[derive(Debug, Clone)]
pub struct PaneState {
    /// The row with the cursor.
    pub cursor: usize,
    /// The first row that is seen.
    pub top: usize,
    /// Columns that are scrolled out at the left.
    pub left: u16,
    /// The cursor stays on the newest row.
    pub follows: bool,
    /// What was looked for last.
    pub search: Option<String>,
    /// The data that it is frozen at.
    pub frozen: Option<Frozen>,
    /// The other way to show the same: a grid of CPUs.
    pub other_view: bool,
}

/// What a frozen pane shows.
#[derive(Debug, Clone)]
pub enum Frozen {
    /// The machine as it was.
    Data(Box<Data>),
    /// The console as it was.
    Screen(Box<vt100::Screen>),
}

impl PaneState {
    fn new(pane: Pane) -> PaneState {
        PaneState { cursor: 0, top: 0, left: 0, follows: pane.grows(), search: None, frozen: None, other_view: false }
    }
}

/// A moment to come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    /// The machine's position.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
}

/// The window into memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryView {
    /// Where it is: an expression; empty for none.
    pub expression: String,
    /// Rows that it is scrolled by.
    pub rows: i64,
    /// How it is shown.
    pub shape: MemoryShape,
    /// What was shown before, the latest last.
    pub before: Vec<String>,
}

/// How memory is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemoryShape {
    /// In rows of bytes, with what they are beside them where there is room.
    #[default]
    Bytes,
    /// A field a row: its bytes, name, value and type.
    Fields,
    /// As the value of the expression.
    Value,
}

impl MemoryView {
    /// How it is shown, as far as there is anything to show: memory that is nothing known has no value.
    pub fn shape_for(&self, memory: &Memory) -> MemoryShape {
        match self.shape {
            MemoryShape::Fields if memory.fields.is_empty() => MemoryShape::Bytes,
            MemoryShape::Value if memory.value.is_empty() => MemoryShape::Bytes,
            shape => shape,
        }
    }

    /// The next way to show it, of those that there are; as long as that is not known, of all.
    pub fn next_shape(&mut self, memory: &Memory) {
        let order = [MemoryShape::Bytes, MemoryShape::Fields, MemoryShape::Value];
        let known = memory.expression == self.expression;
        let shown = if known { self.shape_for(memory) } else { self.shape };
        let at = order.iter().position(|shape| *shape == shown).unwrap_or(0);
        if !known {
            self.shape = order[(at + 1) % order.len()];
            return;
        }
        let next = (1..=order.len()).map(|n| order[(at + n) % order.len()]);
        let mut there = next.filter(|&shape| MemoryView { shape, ..MemoryView::default() }.shape_for(memory) == shape);
        self.shape = there.next().unwrap_or_default();
    }
}

/// See the module.
#[derive(Debug)]
pub struct State {
    /// What is debugged, in a word or two.
    pub target: String,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What is known of the machine.
    pub data: Data,
    /// The guest's console.
    pub console: Console,
    /// What the user has settled on.
    pub settings: Settings,
    /// The layout that is used, by its place in the settings.
    pub layout: usize,
    /// The theme that is used.
    pub theme_name: ThemeName,
    /// Its styles.
    pub theme: Theme,
    /// The pane that has the keys.
    pub focus: Pane,
    /// Panes in the order in which they were asked for, the latest first: of a group, the first of them is seen.
    pub recent: Vec<Pane>,
    /// The focused pane has the whole screen.
    pub zoomed: bool,
    /// How panes are looked at.
    pub panes: BTreeMap<Pane, PaneState>,
    /// What keys mean.
    pub mode: Mode,
    /// What went wrong in the run, and when that was done.
    pub explanation: Option<(Text, Option<Tick>)>,
    /// Something to tell, until the next key.
    pub message: Option<(Mark, String)>,
    /// Moments to come back to, by their letter.
    pub bookmarks: BTreeMap<char, Bookmark>,
    /// The window into memory.
    pub memory: MemoryView,
    /// Where the timeline's cursor is, if it is not at the present position.
    pub scrub: Option<Tick>,
    /// What tasks are sorted by.
    pub task_order: TaskOrder,
    /// Command lines, the oldest first.
    pub commands: Vec<String>,
    /// What the session was last told of the screen.
    pub wants: Wants,
    /// The terminal shows something else than it was told: all of it is to be drawn anew.
    pub anew: bool,
    /// The screen is to be left.
    pub over: bool,
}

impl State {
    /// A screen that knows nothing yet.
    pub fn new(target: impl Into<String>, size: (u16, u16), settings: Settings, theme: ThemeName) -> State {
        let layout = settings.layouts.iter().position(|layout| layout.name == settings.layout).unwrap_or(0);
        let mut state = State {
            target: target.into(),
            size,
            data: Data::default(),
            console: Console::default(),
            settings,
            layout,
            theme_name: theme,
            theme: Theme::of(theme),
            focus: Pane::Source,
            recent: Vec::new(),
            zoomed: false,
            panes: Pane::ALL.into_iter().map(|pane| (pane, PaneState::new(pane))).collect(),
            mode: Mode::Normal,
            explanation: None,
            message: None,
            bookmarks: BTreeMap::new(),
            memory: MemoryView::default(),
            scrub: None,
            task_order: TaskOrder::default(),
            commands: Vec::new(),
            wants: Wants::default(),
            anew: false,
            over: false,
        };
        state.focus = state.visible().first().map_or(Pane::Source, |(pane, _)| *pane);
        state
    }

    /// The whole screen.
    pub fn screen(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    /// Where panes are: all but the bar at the top and the line at the bottom.
    pub fn room(&self) -> Rect {
        let screen = self.screen();
        Rect { y: screen.height.min(1), height: screen.height.saturating_sub(2), ..screen }
    }

    /// The layout that is used.
    pub fn current_layout(&self) -> &Layout {
        // There is one at least, and the number is kept below their number.
        &self.settings.layouts[self.layout.min(self.settings.layouts.len() - 1)]
    }

    /// The groups of panes on the screen, each with the one that is seen.
    pub fn groups(&self) -> Vec<(Group, Pane)> {
        let area = self.room();
        if self.zoomed {
            return vec![(Group { number: 0, panes: vec![self.focus], area }, self.focus)];
        }
        let groups = self.current_layout().groups(area);
        groups
            .into_iter()
            .filter_map(|group| {
                let latest = self.recent.iter().find(|pane| group.panes.contains(pane)).copied();
                let pane = latest.or(group.panes.first().copied())?;
                Some((group, pane))
            })
            .collect()
    }

    /// The panes that are seen, and where.
    pub fn visible(&self) -> Vec<(Pane, Rect)> {
        self.groups().into_iter().map(|(group, pane)| (pane, group.area)).collect()
    }

    /// Where a pane's contents are, inside its frame.
    pub fn inner(area: Rect) -> Rect {
        let (width, height) = (area.width.saturating_sub(2), area.height.saturating_sub(2));
        Rect { x: area.x.saturating_add(1), y: area.y.saturating_add(1), width, height }
    }

    /// Shows a pane, and gives it the keys; one that the layout does not have gets the whole screen.
    pub fn go_to(&mut self, pane: Pane) {
        self.recent.retain(|other| *other != pane);
        self.recent.insert(0, pane);
        self.focus = pane;
        self.zoomed =
            self.zoomed || self.current_layout().groups(self.room()).iter().all(|group| !group.panes.contains(&pane));
    }

    /// How a pane is looked at.
    pub fn pane(&self, pane: Pane) -> &PaneState {
        // All of them are there from the start.
        &self.panes[&pane]
    }

    /// The same, to be changed.
    pub fn pane_mut(&mut self, pane: Pane) -> &mut PaneState {
        self.panes.entry(pane).or_insert_with(|| PaneState::new(pane))
    }

    /// The data that a pane shows: as it is, or as it was when the pane was frozen.
    pub fn data_of(&self, pane: Pane) -> &Data {
        match self.pane(pane).frozen.as_ref() {
            Some(Frozen::Data(data)) => data,
            _ => &self.data,
        }
    }

    /// The console's screen: as it is, or as it was when it was frozen.
    pub fn console_screen(&self) -> &vt100::Screen {
        match self.pane(Pane::Console).frozen.as_ref() {
            Some(Frozen::Screen(screen)) => screen,
            _ => self.console.screen(),
        }
    }
}
