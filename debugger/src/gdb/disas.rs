//! One instruction of Wasm in words, for gdb's disassembler.

use wasmparser::{BlockType, Ieee32, Ieee64, MemArg, Operator, V128};

/// The first words of instructions' names that a dot follows.
const SPACES: [&str; 21] = [
    "i32", "i64", "f32", "f64", "v128", "i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2", "local", "global",
    "table", "memory", "elem", "data", "ref", "struct", "array", "atomic",
];

macro_rules! write_operator {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// An instruction as the text format has it, with indices for names.
        pub(super) fn text(operator: &Operator<'_>) -> String {
            match operator {
                $(
                    Operator::$op $({ $($arg),* })? => {
                        #[allow(unused_mut)]
                        let mut text = name(stringify!($visit));
                        $($(
                            let operand = $arg.operand();
                            if !operand.is_empty() {
                                text.push(' ');
                                text.push_str(&operand);
                            }
                        )*)?
                        text
                    }
                )*
                other => format!("{other:?}"),
            }
        }
    };
}

wasmparser::for_each_operator!(write_operator);

/// `visit_i32_atomic_rmw8_add_u` as `i32.atomic.rmw8.add_u`.
fn name(visit: &str) -> String {
    let name = visit.strip_prefix("visit_").unwrap_or(visit);
    let Some((space, rest)) = name.split_once('_').filter(|(space, _)| SPACES.contains(space)) else {
        return match name {
            "typed_select" => "select".to_owned(),
            name => name.to_owned(),
        };
    };
    let rest = match rest.strip_prefix("atomic_") {
        Some(access) => match access.split_once('_') {
            Some((width, operation)) if width.starts_with("rmw") => format!("atomic.{width}.{operation}"),
            _ => format!("atomic.{access}"),
        },
        None => rest.to_owned(),
    };
    format!("{space}.{rest}")
}

/// What follows an instruction's name.
trait Operand {
    fn operand(&self) -> String;
}

macro_rules! displayed {
    ($($kind:ty),*) => {
        $(impl Operand for $kind {
            fn operand(&self) -> String {
                self.to_string()
            }
        })*
    };
}

displayed!(u8, u32, i32, i64);

macro_rules! debugged {
    ($($kind:ty),*) => {
        $(impl Operand for $kind {
            fn operand(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}

debugged!(
    wasmparser::ValType,
    wasmparser::HeapType,
    wasmparser::RefType,
    wasmparser::Ordering,
    wasmparser::ResumeTable,
    wasmparser::TryTable,
    Vec<wasmparser::ValType>,
    [u8; 16]
);

impl Operand for MemArg {
    fn operand(&self) -> String {
        let mut text = if self.memory == 0 { String::new() } else { format!("{} ", self.memory) };
        if self.offset != 0 {
            text.push_str(&format!("offset={} ", self.offset));
        }
        if self.align != self.max_align {
            text.push_str(&format!("align={}", 1_u64 << self.align));
        }
        text.trim_end().to_owned()
    }
}

impl Operand for BlockType {
    fn operand(&self) -> String {
        match self {
            BlockType::Empty => String::new(),
            BlockType::Type(kind) => format!("(result {kind})"),
            BlockType::FuncType(index) => format!("(type {index})"),
        }
    }
}

impl Operand for wasmparser::BrTable<'_> {
    fn operand(&self) -> String {
        let targets = self.targets().flatten().chain([self.default()]);
        targets.map(|target| target.to_string()).collect::<Vec<_>>().join(" ")
    }
}

impl Operand for Ieee32 {
    fn operand(&self) -> String {
        f32::from_bits(self.bits()).to_string()
    }
}

impl Operand for Ieee64 {
    fn operand(&self) -> String {
        f64::from_bits(self.bits()).to_string()
    }
}

impl Operand for V128 {
    fn operand(&self) -> String {
        format!("{:#034x}", self.i128())
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{BinaryReader, OperatorsReader};

    use super::*;

    fn read(bytes: &[u8]) -> String {
        text(&OperatorsReader::new(BinaryReader::new(bytes, 0)).read().unwrap())
    }

    #[test]
    fn instructions_are_written_as_in_the_text_format() {
        assert_eq!(read(&[0x20, 0x05]), "local.get 5");
        assert_eq!(read(&[0x41, 0x70]), "i32.const -16");
        assert_eq!(read(&[0x28, 0x02, 0x0c]), "i32.load offset=12");
        assert_eq!(read(&[0x2d, 0x00, 0x00]), "i32.load8_u");
        assert_eq!(read(&[0x36, 0x00, 0x04]), "i32.store offset=4 align=1");
        assert_eq!(read(&[0x02, 0x40]), "block");
        assert_eq!(read(&[0x03, 0x7f]), "loop (result i32)");
        assert_eq!(read(&[0x0e, 0x02, 0x00, 0x01, 0x02]), "br_table 0 1 2");
        assert_eq!(read(&[0x11, 0x03, 0x00]), "call_indirect 3 0");
        assert_eq!(read(&[0xfe, 0x20, 0x00, 0x00]), "i32.atomic.rmw8.add_u");
        assert_eq!(read(&[0xfe, 0x01, 0x02, 0x00]), "memory.atomic.wait32");
        assert_eq!(read(&[0xfe, 0x03, 0x00]), "atomic.fence");
        assert_eq!(read(&[0xfc, 0x0a, 0x00, 0x00]), "memory.copy 0 0");
        assert_eq!(read(&[0x43, 0, 0, 0x80, 0x3f]), "f32.const 1");
    }
}
