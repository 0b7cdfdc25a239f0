//! Line tables: the header's files are kept as they are, the program is decoded and written anew with moved addresses.

use gimli::{EndianSlice, IncompleteLineProgram, LineRow, LittleEndian};

use super::super::bytes::Put;
use super::super::layout::WordSize;
use super::UnitError;
use super::target::Target;

type Slice<'m> = EndianSlice<'m, LittleEndian>;

const DW_LNS_COPY: u8 = 1;
const DW_LNS_ADVANCE_PC: u8 = 2;
const DW_LNS_ADVANCE_LINE: u8 = 3;
const DW_LNS_SET_FILE: u8 = 4;
const DW_LNS_SET_COLUMN: u8 = 5;
const DW_LNS_NEGATE_STMT: u8 = 6;
const DW_LNS_SET_PROLOGUE_END: u8 = 10;
const DW_LNS_SET_EPILOGUE_BEGIN: u8 = 11;
const DW_LNE_END_SEQUENCE: u8 = 1;
const DW_LNE_SET_ADDRESS: u8 = 2;
const DW_LNE_SET_DISCRIMINATOR: u8 = 4;

const LINE_BASE: i64 = -5;
const LINE_RANGE: u64 = 14;
const OPCODE_BASE: u64 = 13;
/// The count of operands of the standard opcodes.
const OPCODE_LENGTHS: [u8; 12] = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];

/// Writes a line table of the input, whose bytes begin at `input`, to the end of `out`. What is there if it fails is to
/// be cut off again.
pub(super) fn write(
    out: &mut Vec<u8>,
    input: &[u8],
    program: &IncompleteLineProgram<Slice<'_>>,
    target: &Target<'_>,
) -> Result<(), UnitError> {
    let header = program.header();
    if header.format() != gimli::Format::Dwarf32 {
        return Err(UnitError::Unsupported("64-bit DWARF"));
    }
    let start = out.len();
    out.u32(0);
    out.u16(header.version());
    // The fields behind the version, and where the tables of directories and files begin and end.
    let fixed = if header.version() >= 5 { 4 + 2 + 2 } else { 4 + 2 };
    let header_len = header.header_length();
    let tables_start = fixed + 4 + 6 + usize::from(header.opcode_base()).saturating_sub(1);
    let tables_end = header_len.saturating_add(fixed + 4);
    let tables = input.get(tables_start..tables_end).ok_or(UnitError::Broken)?;
    if header.version() >= 5 {
        out.u8(header.address_size());
        out.u8(0);
    }
    out.u32((6 + OPCODE_LENGTHS.len() + tables.len()) as u32);
    out.extend_from_slice(&[1, 1, 1, LINE_BASE as u8, LINE_RANGE as u8, OPCODE_BASE as u8]);
    out.extend_from_slice(&OPCODE_LENGTHS);
    out.extend_from_slice(tables);

    let mut rows = program.clone().rows();
    let mut sequence = Sequence::new(target.word);
    // What a sequence is of is known from its first row: dropped functions have addresses that mean nothing.
    let mut kept = None;
    while let Some((_, row)) = rows.next_row()? {
        let keep = *kept.get_or_insert_with(|| target.function(row.address()).is_some());
        if row.end_sequence() {
            if keep && sequence.started {
                sequence.end(out, target.end(row.address()));
            }
            kept = None;
        } else if keep {
            let address = target.code(row.address()).unwrap_or_else(|| target.end(row.address()));
            sequence.row(out, address, row);
        }
    }
    let len = (out.len() - start - 4) as u32;
    out.patch_u32(start, len);
    Ok(())
}

/// The registers of the line-number machine that is to read what is written.
struct Sequence {
    word: WordSize,
    started: bool,
    address: u64,
    file: u64,
    line: i64,
    column: u64,
    is_stmt: bool,
}

impl Sequence {
    fn new(word: WordSize) -> Sequence {
        Sequence { word, started: false, address: 0, file: 1, line: 1, column: 0, is_stmt: true }
    }

    fn advance(&mut self, out: &mut Vec<u8>, address: u64) -> u64 {
        if self.started && address >= self.address {
            return address - self.address;
        }
        out.u8(0);
        out.uleb(1 + self.word.bytes());
        out.u8(DW_LNE_SET_ADDRESS);
        out.word(self.word, address);
        self.started = true;
        0
    }

    fn row(&mut self, out: &mut Vec<u8>, address: u64, row: &LineRow) {
        let mut advance = self.advance(out, address);
        if row.file_index() != self.file {
            self.file = row.file_index();
            out.u8(DW_LNS_SET_FILE);
            out.uleb(self.file);
        }
        let column = match row.column() {
            gimli::ColumnType::LeftEdge => 0,
            gimli::ColumnType::Column(column) => column.get(),
        };
        if column != self.column {
            self.column = column;
            out.u8(DW_LNS_SET_COLUMN);
            out.uleb(column);
        }
        if row.discriminator() != 0 {
            let mut operand = Vec::new();
            operand.uleb(row.discriminator());
            out.u8(0);
            out.uleb(1 + operand.len() as u64);
            out.u8(DW_LNE_SET_DISCRIMINATOR);
            out.extend_from_slice(&operand);
        }
        if row.is_stmt() != self.is_stmt {
            self.is_stmt = row.is_stmt();
            out.u8(DW_LNS_NEGATE_STMT);
        }
        if row.prologue_end() {
            out.u8(DW_LNS_SET_PROLOGUE_END);
        }
        if row.epilogue_begin() {
            out.u8(DW_LNS_SET_EPILOGUE_BEGIN);
        }
        let line = row.line().map_or(0, |line| i64::try_from(line.get()).unwrap_or(i64::MAX));
        let mut step = line.wrapping_sub(self.line);
        if !(LINE_BASE..LINE_BASE + LINE_RANGE as i64).contains(&step) {
            out.u8(DW_LNS_ADVANCE_LINE);
            out.sleb(step);
            step = 0;
        }
        let opcode = |advance: u64| (step - LINE_BASE) as u64 + LINE_RANGE * advance + OPCODE_BASE;
        if advance > 0xff || opcode(advance) > 0xff {
            out.u8(DW_LNS_ADVANCE_PC);
            out.uleb(advance);
            advance = 0;
        }
        if step == 0 && advance == 0 {
            out.u8(DW_LNS_COPY);
        } else {
            out.u8(opcode(advance) as u8);
        }
        self.address = address;
        self.line = line;
    }

    fn end(&mut self, out: &mut Vec<u8>, address: u64) {
        let advance = self.advance(out, address);
        if advance > 0 {
            out.u8(DW_LNS_ADVANCE_PC);
            out.uleb(advance);
        }
        out.extend_from_slice(&[0, 1, DW_LNE_END_SEQUENCE]);
        *self = Sequence::new(self.word);
    }
}
