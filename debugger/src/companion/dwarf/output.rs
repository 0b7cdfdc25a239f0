//! The sections that are written, and how far they were before a unit that turns out to be broken.

use std::collections::HashMap;

use super::super::bytes::Put;
use super::super::layout::WordSize;
use super::lists::Lists;

/// The sections of the output.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) info: Vec<u8>,
    pub(super) abbrev: Vec<u8>,
    pub(super) line: Vec<u8>,
    pub(super) aranges: Vec<u8>,
    pub(super) ranges: Lists,
    pub(super) rnglists: Lists,
    pub(super) loc: Lists,
    pub(super) loclists: Lists,
    /// What is put behind the input's strings.
    pub(super) strings: Vec<u8>,
    /// Bytes of the input's strings.
    strings_start: usize,
    string_places: HashMap<Vec<u8>, u32>,
    /// Line tables by their places in the input.
    pub(super) line_places: HashMap<usize, u32>,
    /// References to entries of any unit: their places in `info`, and what they refer to in the input.
    pub(super) far_references: Vec<(usize, usize)>,
    /// Places of entries in the input and in `info`.
    pub(super) entries: Vec<(u32, u32)>,
    /// Variables with a fixed address.
    pub(super) variables: Vec<super::Variable>,
    /// The places in the input of functions that have an entry.
    pub(super) described: Vec<u32>,
}

/// How far the output was.
#[derive(Debug)]
pub(super) struct Mark {
    lens: [usize; 12],
}

impl Output {
    pub(super) fn new(word: WordSize, strings_start: usize) -> Output {
        Output {
            info: Vec::new(),
            abbrev: Vec::new(),
            line: Vec::new(),
            aranges: Vec::new(),
            ranges: Lists::new(word, false),
            rnglists: Lists::new(word, true),
            loc: Lists::new(word, false),
            loclists: Lists::new(word, true),
            strings: Vec::new(),
            strings_start,
            string_places: HashMap::new(),
            line_places: HashMap::new(),
            far_references: Vec::new(),
            entries: Vec::new(),
            variables: Vec::new(),
            described: Vec::new(),
        }
    }

    /// The offset of a string in `.debug_str`, where it is put if it is new.
    pub(super) fn string(&mut self, string: &[u8]) -> u32 {
        if let Some(&place) = self.string_places.get(string) {
            return place;
        }
        let place = (self.strings_start + self.strings.len()) as u32;
        self.strings.string(string);
        self.string_places.insert(string.to_vec(), place);
        place
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            lens: [
                self.info.len(),
                self.abbrev.len(),
                self.line.len(),
                self.aranges.len(),
                self.ranges.bytes.len(),
                self.rnglists.bytes.len(),
                self.loc.bytes.len(),
                self.loclists.bytes.len(),
                self.far_references.len(),
                self.entries.len(),
                self.variables.len(),
                self.described.len(),
            ],
        }
    }

    /// Forgets all that was written since. Strings may stay: nothing refers to them.
    pub(super) fn roll_back(&mut self, mark: &Mark) {
        let [info, abbrev, line, aranges, ranges, rnglists, loc, loclists, far, entries, variables, described] =
            mark.lens;
        self.info.truncate(info);
        self.abbrev.truncate(abbrev);
        self.line.truncate(line);
        self.aranges.truncate(aranges);
        self.ranges.bytes.truncate(ranges);
        self.rnglists.bytes.truncate(rnglists);
        self.loc.bytes.truncate(loc);
        self.loclists.bytes.truncate(loclists);
        self.far_references.truncate(far);
        self.entries.truncate(entries);
        self.variables.truncate(variables);
        self.described.truncate(described);
        self.line_places.retain(|_, place| (*place as usize) < line);
    }

    /// Bytes of location and range lists: lists that are referred to again and again are written again and again.
    pub(super) fn list_bytes(&self) -> usize {
        self.ranges.bytes.len() + self.rnglists.bytes.len() + self.loc.bytes.len() + self.loclists.bytes.len()
    }
}
