//! The checks of accesses, against a model of every operator that reads or writes memory.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wkdb::instrument::{HostMemory, Options, TickCounter, WATCH_LINE, rewrite};

use crate::machine::{Access, Host, Kind as Told, View, engine, overlap, run};

/// The memory's size in bytes: one page.
const SIZE: u64 = 65536;
/// Where most writes go, so that they meet each other and the watched range.
const ARENA: std::ops::Range<u64> = 0x100..0x180;
/// What `memory.init` copies from.
const SEGMENT: &[u8] = b"The quick brown fox jumps over the lazy dog";

/// How a value comes onto the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    I32,
    I64,
    F32,
    F64,
    V128,
}

/// `i32.store` … `i64.store32`: opcodes from 0x36 on.
const PLAIN: [(Kind, u64); 9] = [
    (Kind::I32, 4),
    (Kind::I64, 8),
    (Kind::F32, 4),
    (Kind::F64, 8),
    (Kind::I32, 1),
    (Kind::I32, 2),
    (Kind::I64, 1),
    (Kind::I64, 2),
    (Kind::I64, 4),
];

/// How many bytes `i32.load` … `i64.load32_u` read: opcodes from 0x28 on.
const LOADS: [u64; 14] = [4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4];

/// Loads of vectors: the opcode behind 0xfd, and how many bytes they read.
const VECTOR_LOADS: [(u8, u64); 13] =
    [(0, 16), (1, 8), (2, 8), (3, 8), (4, 8), (5, 8), (6, 8), (7, 1), (8, 2), (9, 4), (10, 8), (0x5c, 4), (0x5d, 8)];

/// The widths of the atomic operators, in the order of the opcodes of each group.
const ATOMIC: [(Kind, u64); 7] =
    [(Kind::I32, 4), (Kind::I64, 8), (Kind::I32, 1), (Kind::I32, 2), (Kind::I64, 1), (Kind::I64, 2), (Kind::I64, 4)];

/// What an atomic compare-exchange expects.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// What is there.
    Match,
    /// What is there, with other bits above the width of the access.
    MatchWithHighBits,
    Anything,
}

/// A write or read. `at` is the effective address, before alignment; `offset` the part of it that is in the operator.
#[derive(Debug, Clone)]
enum Op {
    Plain { opcode: usize, at: u64, offset: u64, value: u128 },
    Vector { at: u64, offset: u64, value: u128 },
    Lane { width: u32, lane: u32, at: u64, offset: u64, value: u128 },
    AtomicStore { width: usize, at: u64, offset: u64, value: u128 },
    ReadModifyWrite { operation: usize, width: usize, at: u64, offset: u64, value: u128 },
    CompareExchange { width: usize, at: u64, offset: u64, expected: Expected, value: u128 },
    Load { opcode: usize, at: u64, offset: u64 },
    VectorLoad { which: usize, at: u64, offset: u64 },
    LoadLane { width: u32, lane: u32, at: u64, offset: u64 },
    AtomicLoad { width: usize, at: u64, offset: u64 },
    Fill { at: u64, len: u64, value: u8 },
    Copy { at: u64, from: u64, len: u64 },
    Init { at: u64, from: u64, len: u64 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let at = || prop_oneof![20 => ARENA, 1 => 0..SIZE - 16, 1 => Just(SIZE - 16)];
    let place = || (at(), prop_oneof![Just(0u64), 0..0x200u64], any::<u128>());
    let expected = prop_oneof![Just(Expected::Match), Just(Expected::MatchWithHighBits), Just(Expected::Anything)];
    let op = prop_oneof![
        4 => (0..PLAIN.len(), place()).prop_map(|(opcode, (at, offset, value))| Op::Plain { opcode, at, offset, value }),
        1 => place().prop_map(|(at, offset, value)| Op::Vector { at, offset, value }),
        2 => (0..4u32, any::<u32>(), place())
            .prop_map(|(width, lane, (at, offset, value))| Op::Lane { width, lane: lane % (16 >> width), at, offset, value }),
        2 => (0..7usize, place())
            .prop_map(|(width, (at, offset, value))| Op::AtomicStore { width, at, offset, value }),
        4 => (0..6usize, 0..7usize, place()).prop_map(|(operation, width, (at, offset, value))| {
            Op::ReadModifyWrite { operation, width, at, offset, value }
        }),
        4 => (0..7usize, expected, place()).prop_map(|(width, expected, (at, offset, value))| {
            Op::CompareExchange { width, at, offset, expected, value }
        }),
        3 => (0..LOADS.len(), place()).prop_map(|(opcode, (at, offset, _))| Op::Load { opcode, at, offset }),
        1 => (0..VECTOR_LOADS.len(), place())
            .prop_map(|(which, (at, offset, _))| Op::VectorLoad { which, at, offset }),
        1 => (0..4u32, any::<u32>(), place())
            .prop_map(|(width, lane, (at, offset, _))| Op::LoadLane { width, lane: lane % (16 >> width), at, offset }),
        1 => (0..7usize, place()).prop_map(|(width, (at, offset, _))| Op::AtomicLoad { width, at, offset }),
        1 => (at(), 0..17u64, any::<u8>()).prop_map(|(at, len, value)| Op::Fill { at, len, value }),
        1 => (at(), at(), 0..17u64).prop_map(|(at, from, len)| Op::Copy { at, from, len }),
        1 => (at(), 0..20u64, 0..17u64).prop_map(|(at, from, len)| Op::Init { at, from, len }),
    ];
    prop::collection::vec(op, 1..60)
}

/// The memory as the specification has it, and the accesses that are to be reported.
struct Model {
    memory: Vec<u8>,
    watch: (u64, u64),
    /// Whether reads are reported too.
    loads: bool,
    accesses: Vec<Access>,
}

impl Model {
    fn read(&self, at: u64, size: u64) -> u128 {
        let mut bytes = [0; 16];
        bytes[..size as usize].copy_from_slice(&self.memory[at as usize..(at + size) as usize]);
        u128::from_le_bytes(bytes)
    }

    fn store(&mut self, at: u64, size: u64, value: u128) {
        self.write(at, size, value);
        self.report(Told::Stored, at, size);
    }

    fn exchange(&mut self, at: u64, size: u64, value: u128) {
        self.write(at, size, value);
        self.report(if self.loads { Told::Exchanged } else { Told::Stored }, at, size);
    }

    fn load(&mut self, at: u64, size: u64) {
        if self.loads {
            self.report(Told::Loaded, at, size);
        }
    }

    fn write(&mut self, at: u64, size: u64, value: u128) {
        self.memory[at as usize..(at + size) as usize].copy_from_slice(&value.to_le_bytes()[..size as usize]);
    }

    fn bulk(&mut self, told: Told, at: u64, bytes: &[u8]) {
        let len = bytes.len() as u64;
        self.memory[at as usize..(at + len) as usize].copy_from_slice(bytes);
        if len > 0 {
            self.report(told, at, len);
        }
    }

    fn report(&mut self, kind: Told, address: u64, len: u64) {
        let copied = matches!(kind, Told::BulkCopied(from) if overlap(self.watch, (from, len)));
        if self.watch.1 > 0 && (copied || overlap(self.watch, (address, len))) {
            let bytes = self.memory[address as usize..(address + len) as usize].to_vec();
            self.accesses.push(Access { kind, address, len, bytes });
        }
    }

    /// Does what the operator does; gives what a compare-exchange is to expect.
    fn apply(&mut self, op: &Op) -> u128 {
        let low = |size: u64, value: u128| value & (u128::MAX >> (128 - 8 * size));
        match *op {
            Op::Plain { opcode, at, value, .. } => self.store(at, PLAIN[opcode].1, value),
            Op::Vector { at, value, .. } => self.store(at, 16, value),
            Op::Lane { width, lane, at, value, .. } => self.store(at, 1 << width, value >> (lane * (8 << width))),
            Op::AtomicStore { width, at, value, .. } => self.store(aligned(at, width), ATOMIC[width].1, value),
            Op::ReadModifyWrite { operation, width, at, value, .. } => {
                let (at, size) = (aligned(at, width), ATOMIC[width].1);
                let old = self.read(at, size);
                let new = match operation {
                    0 => old.wrapping_add(value),
                    1 => old.wrapping_sub(value),
                    2 => old & value,
                    3 => old | value,
                    4 => old ^ value,
                    _ => value,
                };
                self.exchange(at, size, new);
            }
            Op::CompareExchange { width, at, expected, value, .. } => {
                let (at, (kind, size)) = (aligned(at, width), ATOMIC[width]);
                let old = self.read(at, size);
                let operand = low(if kind == Kind::I32 { 4 } else { 8 }, value);
                let expected = match expected {
                    Expected::Match => old,
                    Expected::MatchWithHighBits => old | (operand & !low(size, u128::MAX)),
                    Expected::Anything => operand >> 1,
                };
                // "expected wrapped from i32 to i8, 8-bit compare equal": the proposal's table of operators.
                match low(size, expected) == old {
                    true => self.exchange(at, size, value),
                    false => self.load(at, size),
                }
                return expected;
            }
            Op::Load { opcode, at, .. } => self.load(at, LOADS[opcode]),
            Op::VectorLoad { which, at, .. } => self.load(at, VECTOR_LOADS[which].1),
            Op::LoadLane { width, at, .. } => self.load(at, 1 << width),
            Op::AtomicLoad { width, at, .. } => self.load(aligned(at, width), ATOMIC[width].1),
            Op::Fill { at, len, value } => self.bulk(Told::BulkStored, at, &vec![value; len as usize]),
            Op::Copy { at, from, len } => {
                let bytes = self.memory[from as usize..(from + len) as usize].to_vec();
                self.bulk(if self.loads { Told::BulkCopied(from) } else { Told::BulkStored }, at, &bytes);
            }
            Op::Init { at, from, len } => {
                self.bulk(Told::BulkStored, at, &SEGMENT[from as usize..(from + len) as usize])
            }
        }
        0
    }
}

/// Atomic accesses trap unless they are aligned.
fn aligned(at: u64, width: usize) -> u64 {
    at & !(ATOMIC[width].1 - 1)
}

/// Writes code that does the operators, in a memory with 64-bit addresses if `wide`.
struct Writer {
    code: Function,
    wide: bool,
}

impl Writer {
    fn number(&mut self, value: u64) {
        match self.wide {
            true => self.code.instruction(&Instruction::I64Const(value.cast_signed())),
            false => self.code.instruction(&Instruction::I32Const((value as u32).cast_signed())),
        };
    }

    /// An address that the compiler cannot know: parameter 0, which is 0, is added, or something else is done with it
    /// that makes the address unlike the others.
    fn address(&mut self, at: u64) {
        self.number(at);
        match at % 5 {
            0 => return,
            1 => drop(self.code.instruction(&Instruction::LocalGet(0))),
            _ => drop(self.code.instruction(&Instruction::LocalGet(1))),
        }
        self.code.instruction(match (self.wide, at % 5 == 2) {
            (true, false) => &Instruction::I64Add,
            (false, false) => &Instruction::I32Add,
            (true, true) => &Instruction::I64Or,
            (false, true) => &Instruction::I32Or,
        });
    }

    fn value(&mut self, kind: Kind, value: u128) {
        self.code.instruction(&match kind {
            Kind::I32 => Instruction::I32Const((value as u32).cast_signed()),
            Kind::I64 => Instruction::I64Const((value as u64).cast_signed()),
            Kind::F32 => Instruction::F32Const(wasm_encoder::Ieee32::new(value as u32)),
            Kind::F64 => Instruction::F64Const(wasm_encoder::Ieee64::new(value as u64)),
            Kind::V128 => Instruction::V128Const(value.cast_signed()),
        });
    }

    /// An opcode with alignment and offset; `align` is the exponent.
    fn access(&mut self, opcode: &[u8], align: u32, offset: u64) {
        let mut bytes = opcode.to_vec();
        wasm_encoder::Encode::encode(&align, &mut bytes);
        wasm_encoder::Encode::encode(&offset, &mut bytes);
        self.code.raw(bytes);
    }

    fn op(&mut self, op: &Op, expected: u128) {
        // The offset in the operator must not be larger than the whole address.
        let split = |at: u64, offset: u64| (at - offset.min(at), offset.min(at));
        match *op {
            Op::Plain { opcode, at, offset, value } => {
                let (address, offset) = split(at, offset);
                self.address(address);
                self.value(PLAIN[opcode].0, value);
                self.access(&[0x36 + opcode as u8], 0, offset);
            }
            Op::Vector { at, offset, value } => {
                let (address, offset) = split(at, offset);
                self.address(address);
                self.value(Kind::V128, value);
                self.access(&[0xfd, 0x0b], 0, offset);
            }
            Op::Lane { width, lane, at, offset, value } => {
                let (address, offset) = split(at, offset);
                self.address(address);
                self.value(Kind::V128, value);
                self.access(&[0xfd, 0x58 + width as u8], 0, offset);
                self.code.raw([lane as u8]);
            }
            Op::AtomicStore { width, at, offset, value } => {
                self.atomic(0x17, width, at, offset, &[value]);
            }
            Op::ReadModifyWrite { operation, width, at, offset, value } => {
                self.atomic(0x1e + 7 * operation as u8, width, at, offset, &[value]);
                self.code.instruction(&Instruction::Drop);
            }
            Op::CompareExchange { width, at, offset, value, .. } => {
                self.atomic(0x48, width, at, offset, &[expected, value]);
                self.code.instruction(&Instruction::Drop);
            }
            Op::Load { opcode, at, offset } => {
                let (address, offset) = split(at, offset);
                self.address(address);
                self.access(&[0x28 + opcode as u8], 0, offset);
                self.code.instruction(&Instruction::Drop);
            }
            Op::VectorLoad { which, at, offset } => {
                let (address, offset) = split(at, offset);
                self.address(address);
                self.access(&[0xfd, VECTOR_LOADS[which].0], 0, offset);
                self.code.instruction(&Instruction::Drop);
            }
            Op::LoadLane { width, lane, at, offset } => {
                let (address, offset) = split(at, offset);
                self.address(address);
                self.value(Kind::V128, 0);
                self.access(&[0xfd, 0x54 + width as u8], 0, offset);
                self.code.raw([lane as u8]);
                self.code.instruction(&Instruction::Drop);
            }
            Op::AtomicLoad { width, at, offset } => {
                self.atomic(0x10, width, at, offset, &[]);
                self.code.instruction(&Instruction::Drop);
            }
            Op::Fill { at, len, value } => {
                self.address(at);
                self.value(Kind::I32, u128::from(value));
                self.number(len);
                self.code.instruction(&Instruction::MemoryFill(0));
            }
            Op::Copy { at, from, len } => {
                self.address(at);
                self.address(from);
                self.number(len);
                self.code.instruction(&Instruction::MemoryCopy { src_mem: 0, dst_mem: 0 });
            }
            Op::Init { at, from, len } => {
                self.address(at);
                self.value(Kind::I32, u128::from(from));
                self.value(Kind::I32, u128::from(len));
                self.code.instruction(&Instruction::MemoryInit { mem: 0, data_index: 0 });
            }
        }
    }

    fn atomic(&mut self, group: u8, width: usize, at: u64, offset: u64, values: &[u128]) {
        let (kind, size) = ATOMIC[width];
        let at = aligned(at, width);
        let offset = offset.min(at);
        self.address(at - offset);
        for value in values {
            self.value(kind, *value);
        }
        self.access(&[0xfe, group + width as u8], size.trailing_zeros(), offset);
    }
}

/// A module that exports its memory and a function that does the operators, a loop around each few of them.
fn module(ops: &[(Op, u128)], wide: bool, imported: bool) -> Vec<u8> {
    let address = if wide { ValType::I64 } else { ValType::I32 };
    let memory = MemoryType { minimum: 1, maximum: Some(1), memory64: wide, shared: false, page_size_log2: None };
    let mut writer = Writer { code: Function::new([(1, ValType::I64)]), wide };
    for (index, (op, expected)) in ops.iter().enumerate() {
        if index % 5 == 2 {
            writer.code.instruction(&Instruction::Loop(wasm_encoder::BlockType::Empty));
            writer.op(op, *expected);
            writer.code.instruction(&Instruction::End);
        } else {
            writer.op(op, *expected);
        }
    }
    writer.code.instruction(&Instruction::End);

    let (mut types, mut imports, mut functions) = (TypeSection::new(), ImportSection::new(), FunctionSection::new());
    let (mut memories, mut exports, mut code) = (MemorySection::new(), ExportSection::new(), CodeSection::new());
    let mut data = DataSection::new();
    types.ty().function([address, address], []);
    functions.function(0);
    match imported {
        true => drop(imports.import("env", "memory", EntityType::Memory(memory))),
        false => drop(memories.memory(memory)),
    }
    exports.export("memory", ExportKind::Memory, 0).export("write", ExportKind::Func, 0);
    code.function(&writer.code);
    data.passive(SEGMENT.iter().copied());
    data.active(0, &if wide { ConstExpr::i64_const(0) } else { ConstExpr::i32_const(0) }, []);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&memories).section(&exports);
    module.section(&DataCountSection { count: 2 }).section(&code).section(&data);
    module.finish()
}

proptest! {
    #![proptest_config(crate::generated::config(150))]

    #[test]
    fn every_access_to_what_is_watched_is_reported_once(
        ops in ops(),
        lo in prop_oneof![10 => ARENA, 1 => 0..SIZE],
        len in prop_oneof![1 => Just(0u64), 10 => 1..40u64, 1 => Just(SIZE)],
        flags in any::<[bool; 6]>(),
    ) {
        let [wide, imported, ticks, cached, loads, footprint] = flags;
        let mut model = Model { memory: vec![0; SIZE as usize], watch: (lo, len), loads, accesses: Vec::new() };
        let ops: Vec<_> = ops.into_iter().map(|op| { let expected = model.apply(&op); (op, expected) }).collect();
        let original = module(&ops, wide, imported);
        let tick_counter = if cached { TickCounter::Local } else { TickCounter::Global };
        let host_memory = if imported { HostMemory::Import } else { HostMemory::Keep };
        let all = Options { stores: true, loads, ticks, tick_counter, host_memory, ..Options::identity() };
        let options = Options { footprint, ..all };
        let rewritten = rewrite(&original, &options).unwrap_or_else(|error| panic!("{error}"));
        let view = View { counts_down: ticks, original: &|_| None };
        let host = Host::watching(lo, len);
        let (outcome, host) = run(&engine(), &rewritten.wasm, &view, host).expect("the module can be run");
        prop_assert_eq!(&outcome.results, &vec![Ok(vec![])]);
        prop_assert!(outcome.memory == Some(model.memory), "the model is wrong");
        prop_assert_eq!(host.accesses, model.accesses);
        // The host is called for neighbours of what is watched alone.
        prop_assert!(len > 0 || host.near == 0);
    }

    #[test]
    fn a_footprint_has_every_line_that_a_write_begins_in_and_the_host_is_called_for_no_other(
        ops in ops(),
        watched in 1..40u64,
        lo in prop_oneof![ARENA, Just(SIZE / 2)],
        flags in any::<[bool; 4]>(),
    ) {
        check_footprint(ops, watched, lo, flags)?;
    }
}

fn check_footprint(ops: Vec<Op>, watched: u64, lo: u64, flags: [bool; 4]) -> Result<(), TestCaseError> {
    let [wide, imported, ticks, loads] = flags;
    // All is watched, so that the model tells of all writes.
    let mut model = Model { memory: vec![0; SIZE as usize], watch: (0, SIZE), loads, accesses: Vec::new() };
    let ops: Vec<_> = ops
        .into_iter()
        .map(|op| {
            let expected = model.apply(&op);
            (op, expected)
        })
        .collect();
    let original = module(&ops, wide, imported);
    let host_memory = if imported { HostMemory::Import } else { HostMemory::Keep };
    let all = Options { stores: true, loads, ticks, host_memory, ..Options::identity() };
    let options = Options { footprint: true, tick_counter: TickCounter::Global, ..all };
    let rewritten = rewrite(&original, &options).unwrap_or_else(|error| panic!("{error}"));
    let view = View { counts_down: ticks, original: &|_| None };
    let mut host = Host::watching(lo, watched);
    host.footprint = Some(BTreeSet::new());
    let (outcome, host) = run(&engine(), &rewritten.wasm, &view, host).expect("the module can be run");
    prop_assert_eq!(&outcome.results, &vec![Ok(vec![])]);
    let at = |address: u64, len: u64| overlap((lo, watched), (address, len));
    let touches = |access: &&Access| at(access.address, access.len);
    let copies = |access: &&Access| matches!(access.kind, Told::BulkCopied(from) if at(from, access.len));
    let expected: Vec<_> = model.accesses.iter().filter(|a| touches(a) || copies(a)).cloned().collect();
    prop_assert_eq!(host.accesses, expected);
    let lines = host.footprint.expect("it is kept");
    let writes = || model.accesses.iter().filter(|access| access.kind != Told::Loaded);
    for write in writes() {
        prop_assert!(lines.contains(&(write.address / WATCH_LINE)), "{write:?} is not in {lines:?}");
        if matches!(write.kind, Told::BulkStored | Told::BulkCopied(_)) {
            let last = (write.address + write.len - 1) / WATCH_LINE;
            prop_assert!((write.address / WATCH_LINE..=last).all(|line| lines.contains(&line)));
        }
    }
    let written = |line: u64| writes().any(|w| overlap((line * WATCH_LINE, WATCH_LINE), (w.address, w.len)));
    prop_assert!(lines.iter().all(|line| written(*line)), "a line that nobody wrote is in {lines:?}");
    Ok(())
}

/// A write of sixteen bytes at the end of the line before would reach into the range.
#[test]
fn the_line_before_a_watched_range_stays_marked() -> Result<(), TestCaseError> {
    let (fill, copy) = (Op::Fill { at: 256, len: 1, value: 0 }, Op::Copy { at: 256, from: 256, len: 1 });
    check_footprint(vec![fill, copy], 1, 321, [false; 4])
}
