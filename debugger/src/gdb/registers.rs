//! The registers of the processor that the guest is shown as: what they are called, and what is in them.
//!
//! Four of them mean something: pc, stack pointer, frame pointer, and the base of the globals. The ones that return
//! values hold the top of the operand stack, so that gdb's `finish` shows what a function gave. All others are 0.

use std::fmt::Write as _;

use wkdb_tracer::WasmValue;

use crate::companion::layout::WordSize;

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Pc,
    Sp,
    Fp,
    Globals,
    /// The low word of a returned integer.
    Result,
    /// The high word of one that is longer than a word.
    ResultHigh,
    /// A returned float, in the x87's format.
    FloatResult,
    /// A returned float, or vector, as its bits.
    VectorResult,
    Zero,
}

/// A register as the client's architecture has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Register {
    name: &'static str,
    /// In bytes.
    size: usize,
    kind: &'static str,
    role: Role,
}

/// The values that are not 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// Where the innermost frame is, in the client's addresses.
    pub(super) pc: u64,
    /// `__stack_pointer`.
    pub(super) sp: u64,
    /// The innermost frame's canonical frame address.
    pub(super) fp: u64,
    /// Where the globals are.
    pub(super) globals: u64,
    /// The top of the operand stack.
    pub(super) top: Option<WasmValue>,
}

/// The registers of an architecture, in the order of gdb's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registers {
    word: usize,
    all: Vec<Register>,
}

const X87: [&str; 8] = ["st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"];
const X87_CONTROL: [&str; 8] = ["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"];
const XMM: [&str; 16] = [
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
    "xmm14", "xmm15",
];

impl Registers {
    /// Those of the architecture that stands for a word size.
    pub(super) fn new(word: WordSize) -> Self {
        let mut all = Vec::new();
        let mut add = |name, size, kind, role| all.push(Register { name, size, kind, role });
        let word = word.bytes() as usize;
        if word == 4 {
            add("eax", 4, "int32", Role::Result);
            add("ecx", 4, "int32", Role::Zero);
            add("edx", 4, "int32", Role::ResultHigh);
            add("ebx", 4, "int32", Role::Globals);
            add("esp", 4, "data_ptr", Role::Sp);
            add("ebp", 4, "data_ptr", Role::Fp);
            add("esi", 4, "int32", Role::Zero);
            add("edi", 4, "int32", Role::Zero);
            add("eip", 4, "code_ptr", Role::Pc);
        } else {
            add("rax", 8, "int64", Role::Result);
            for name in ["rbx", "rcx", "rdx", "rsi", "rdi"] {
                add(name, 8, "int64", Role::Zero);
            }
            add("rbp", 8, "data_ptr", Role::Fp);
            add("rsp", 8, "data_ptr", Role::Sp);
            for name in ["r8", "r9", "r10", "r11", "r12", "r13", "r14"] {
                add(name, 8, "int64", Role::Zero);
            }
            add("r15", 8, "int64", Role::Globals);
            add("rip", 8, "code_ptr", Role::Pc);
        }
        for name in ["eflags", "cs", "ss", "ds", "es", "fs", "gs"] {
            add(name, 4, "int32", Role::Zero);
        }
        for (n, name) in X87.into_iter().enumerate() {
            add(name, 10, "i387_ext", if n == 0 { Role::FloatResult } else { Role::Zero });
        }
        for name in X87_CONTROL {
            add(name, 4, "int", Role::Zero);
        }
        for (n, name) in XMM.into_iter().take(2 * word).enumerate() {
            add(name, 16, "uint128", if n == 0 { Role::VectorResult } else { Role::Zero });
        }
        add("mxcsr", 4, "int", Role::Zero);
        Registers { word, all }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The bytes of one, by gdb's number.
    pub(super) fn bytes(&self, number: usize, values: &Values) -> Option<Vec<u8>> {
        let register = self.all.get(number)?;
        let mut bytes = match register.role {
            Role::Pc => values.pc.to_le_bytes().to_vec(),
            Role::Sp => values.sp.to_le_bytes().to_vec(),
            Role::Fp => values.fp.to_le_bytes().to_vec(),
            Role::Globals => values.globals.to_le_bytes().to_vec(),
            Role::Result => integer(values.top).to_le_bytes().to_vec(),
            Role::ResultHigh => (integer(values.top) >> 32).to_le_bytes().to_vec(),
            Role::FloatResult => match values.top {
                Some(WasmValue::F32(bits)) => extended(f64::from(f32::from_bits(bits))).to_vec(),
                Some(WasmValue::F64(bits)) => extended(f64::from_bits(bits)).to_vec(),
                _ => Vec::new(),
            },
            Role::VectorResult => match values.top {
                Some(WasmValue::F32(bits)) => bits.to_le_bytes().to_vec(),
                Some(WasmValue::F64(bits)) => bits.to_le_bytes().to_vec(),
                Some(WasmValue::V128(bytes)) => bytes.to_vec(),
                _ => Vec::new(),
            },
            Role::Zero => Vec::new(),
        };
        bytes.resize(register.size, 0);
        Some(bytes)
    }

    /// All of them, one after the other.
    pub(super) fn all_bytes(&self, values: &Values) -> Vec<u8> {
        (0..self.count()).filter_map(|number| self.bytes(number, values)).flatten().collect()
    }

    /// The numbers of pc, frame pointer and stack pointer: what a client wants to know at every stop.
    pub(super) fn vital(&self) -> impl Iterator<Item = usize> {
        let numbers = [Role::Fp, Role::Sp, Role::Pc];
        numbers.into_iter().filter_map(|role| self.all.iter().position(|register| register.role == role))
    }

    /// What a register is called.
    pub(super) fn name(&self, number: usize) -> Option<&'static str> {
        Some(self.all.get(number)?.name)
    }

    /// The target description. Without an OS ABI: the client's own would bring its signal frames and its linker.
    pub(super) fn target_xml(&self) -> String {
        let architecture = if self.word == 4 { "i386" } else { "i386:x86-64" };
        let mut xml = format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n\
             <architecture>{architecture}</architecture>\n<osabi>none</osabi>\n\
             <feature name=\"org.gnu.gdb.i386.core\">\n"
        );
        for register in &self.all {
            if register.name == "xmm0" {
                xml.push_str("</feature>\n<feature name=\"org.gnu.gdb.i386.sse\">\n");
            }
            // Writing to a string does not fail.
            let _ = writeln!(
                xml,
                "<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"/>",
                register.name,
                register.size * 8,
                register.kind
            );
        }
        xml.push_str("</feature>\n</target>\n");
        xml
    }
}

fn integer(value: Option<WasmValue>) -> u64 {
    match value {
        Some(WasmValue::I32(_) | WasmValue::I64(_)) => value.and_then(WasmValue::word).unwrap_or(0),
        _ => 0,
    }
}

/// A double in the x87's 80 bits: sign and exponent in the upper two bytes, the leading one of the fraction written out.
fn extended(value: f64) -> [u8; 10] {
    const BIAS: u16 = 0x3fff - 0x3ff;
    let bits = value.to_bits();
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let exponent = (bits >> 52 & 0x7ff) as u16;
    let fraction = bits << 12 >> 1;
    let (exponent, fraction) = match exponent {
        0 if fraction == 0 => (0, 0),
        // Too small for the double's own exponent, but not for this one.
        0 => {
            let shift = fraction.leading_zeros() as u16;
            (BIAS + 1 - shift, fraction << shift)
        }
        0x7ff => (0x7fff, fraction | 1 << 63),
        _ => (exponent + BIAS, fraction | 1 << 63),
    };
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&fraction.to_le_bytes());
    bytes[8..].copy_from_slice(&(sign | exponent).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_become_extended() {
        let parts = |value| {
            let bytes = extended(value);
            let (fraction, exponent) = bytes.split_at(8);
            (u16::from_le_bytes(exponent.try_into().unwrap()), u64::from_le_bytes(fraction.try_into().unwrap()))
        };
        assert_eq!(parts(0.0), (0, 0));
        assert_eq!(parts(-0.0), (0x8000, 0));
        assert_eq!(parts(1.0), (0x3fff, 1 << 63));
        assert_eq!(parts(-2.5), (0xc000, 0b101 << 61));
        assert_eq!(parts(f64::INFINITY), (0x7fff, 1 << 63));
        // The smallest: 2^-1074.
        assert_eq!(parts(f64::from_bits(1)), (0x3fff - 1074, 1 << 63));
    }

    #[test]
    fn results_are_where_the_architecture_returns_them() {
        let at = |registers: &Registers, name: &str, top| {
            let number = (0..registers.count()).find(|&n| registers.name(n) == Some(name)).unwrap();
            registers.bytes(number, &Values { top: Some(top), ..Values::default() }).unwrap()
        };
        let narrow = Registers::new(WordSize::Four);
        let long = WasmValue::I64(0x1122_3344_5566_7788);
        assert_eq!(at(&narrow, "eax", long), 0x5566_7788_u32.to_le_bytes());
        assert_eq!(at(&narrow, "edx", long), 0x1122_3344_u32.to_le_bytes());
        assert_eq!(at(&narrow, "st0", WasmValue::F32(1_f32.to_bits())), extended(1.0));
        let wide = Registers::new(WordSize::Eight);
        assert_eq!(at(&wide, "rax", WasmValue::I32(u32::MAX)), u64::MAX.to_le_bytes());
        assert_eq!(at(&wide, "xmm0", WasmValue::F64(7))[..8], 7_u64.to_le_bytes());
    }

    #[test]
    fn every_register_has_its_size_and_its_number() {
        // gdb's own numbering of the core and SSE registers.
        assert_eq!(Registers::new(WordSize::Four).count(), 16 + 8 + 8 + 8 + 1);
        let wide = Registers::new(WordSize::Eight);
        assert_eq!(wide.count(), 24 + 8 + 8 + 16 + 1);
        assert_eq!(wide.name(16), Some("rip"));
        let values = Values::default();
        for word in [WordSize::Four, WordSize::Eight] {
            let registers = Registers::new(word);
            let bits: usize = (0..registers.count()).map(|n| registers.bytes(n, &values).unwrap().len()).sum();
            assert_eq!(bits, registers.all_bytes(&values).len());
            assert_eq!(registers.vital().count(), 3);
        }
    }
}
