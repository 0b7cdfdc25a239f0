//! Which places of its frame a function tells others of.
//!
//! Nobody else can have a pointer to what is on a function's stack unless the function gives its address away: passes it
//! on, gives it back, or puts it into memory. What it only reads and writes itself is its own. So its code is followed
//! with what is known of its values: the stack pointer as it was at the start, plus constants.
//!
//! ```text
//!   global.get $sp; i32.const 32; i32.sub; local.tee $frame; global.set $sp     frame: -32
//!   local.get $frame; local.get $x; i32.store offset=12                         -20 is written: nobody hears of it
//!   local.get $frame; i32.const 16; i32.add; call $wait                         -16 is given away
//! ```
//!
//! Where several values may be in a local all of them count, and what is not understood counts as given away. An address
//! that is given away after something unknown was added to it may be anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::body::{Binary, Body, Definition, Instruction, Kind, Source};
use super::code::Code;

/// Places that are followed at once. A value that can be more of them can be anywhere.
const MAX_PLACES: usize = 32;

/// The code is gone through so often until nothing new is found; what takes longer is not known.
const MAX_ROUNDS: usize = 64;

/// What a function gives away of its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Escaped {
    /// The addresses of these places: bytes from the stack pointer at its start on, so those of its frame are negative.
    Places(BTreeSet<i64>),
    /// Addresses of which it cannot be said where they are.
    Anywhere,
}

/// The code of a module, whose functions can be asked.
pub struct Escapes {
    code: Code,
    stack_pointer: u32,
}

impl std::fmt::Debug for Escapes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Escapes").field("stack_pointer", &self.stack_pointer).finish_non_exhaustive()
    }
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    /// Nothing, so far.
    Unseen,
    /// It has nothing to do with the stack.
    Plain,
    Constant(i64),
    /// The stack pointer at the start, plus one of these.
    Stack(BTreeSet<i64>),
    /// The stack pointer plus something unknown.
    Somewhere,
}

impl Escapes {
    /// Those of a module in which this global is the stack pointer.
    pub fn new(module: Arc<[u8]>, stack_pointer: u32) -> Escapes {
        Escapes { code: Code::read(module), stack_pointer }
    }

    /// What a function gives away that takes so many bytes off the stack pointer, once, and puts them back where it returns.
    /// None if its code cannot be read, or is too large.
    pub fn of(&self, function: u32, taken: u64) -> Option<Escaped> {
        let body = self.code.body(function)?;
        let frame = -i64::try_from(taken).ok()?;
        let mut sets = BTreeMap::<u32, Vec<usize>>::new();
        for (at, instruction) in body.instructions.iter().enumerate() {
            if let Kind::LocalSet(local) | Kind::LocalTee(local) = instruction.kind {
                sets.entry(local).or_default().push(at);
            }
        }
        let (stack_pointer, wide) = (self.stack_pointer, self.code.word() == 8);
        Following { body: &body, stack_pointer, wide, frame, sets, reaching: BTreeMap::new() }.escaped()
    }
}

struct Following<'b> {
    body: &'b Body,
    stack_pointer: u32,
    wide: bool,
    frame: i64,
    /// Where locals are set.
    sets: BTreeMap<u32, Vec<usize>>,
    /// Which definitions reach an instruction that gets a local, as far as that was asked.
    reaching: BTreeMap<usize, Vec<Definition>>,
}

impl Following<'_> {
    fn escaped(mut self) -> Option<Escaped> {
        let body = self.body;
        let instructions = &body.instructions;
        // What each instruction gives.
        let mut values = vec![Value::Unseen; instructions.len()];
        let mut rounds = 0;
        loop {
            let mut changed = false;
            let mut was_set = false;
            for (at, instruction) in instructions.iter().enumerate() {
                let value = self.given(at, instruction, was_set, &values);
                let value = join(values[at].clone(), value);
                changed |= value != values[at];
                values[at] = value;
                was_set |= instruction.kind == Kind::GlobalSet(self.stack_pointer);
            }
            rounds += 1;
            match changed {
                false => break,
                true if rounds == MAX_ROUNDS => return None,
                true => {}
            }
        }
        let mut places = BTreeSet::new();
        for instruction in instructions {
            for source in self.given_away(instruction) {
                match value_of(source, &values) {
                    Value::Unseen | Value::Plain | Value::Constant(_) => {}
                    Value::Stack(more) => places.extend(more),
                    Value::Somewhere => return Some(Escaped::Anywhere),
                }
            }
        }
        Some(Escaped::Places(places))
    }

    /// What an instruction takes that others may hear of.
    fn given_away<'i>(&self, instruction: &'i Instruction) -> &'i [Source] {
        let takes = &instruction.takes[..];
        match instruction.kind {
            Kind::Constant(_)
            | Kind::LocalGet(_)
            | Kind::LocalSet(_)
            | Kind::LocalTee(_)
            | Kind::GlobalGet(_)
            | Kind::Load { .. }
            | Kind::Binary(_)
            | Kind::Divide
            | Kind::Convert
            | Kind::Compare
            | Kind::Select
            | Kind::Branch
            | Kind::Unreachable => &[],
            Kind::GlobalSet(global) if global == self.stack_pointer => &[],
            // The first is where it goes.
            Kind::Store { .. } | Kind::Update { .. } => takes.get(1..).unwrap_or_default(),
            // Two places of its own, as a rule, and a length; the value that memory is filled with is a byte.
            Kind::Copy | Kind::Fill => &[],
            Kind::GlobalSet(_) | Kind::Call(_) | Kind::CallIndirect(_) | Kind::Return | Kind::Other => takes,
        }
    }

    /// What a local holds at an instruction that gets it.
    fn local(&mut self, local: u32, at: usize, values: &[Value]) -> Value {
        let body = self.body;
        let set_to = |set: usize| {
            let source = body.instructions[set].takes.first();
            source.map_or(Value::Plain, |source| value_of(source, values))
        };
        // Most need no look at the ways that lead here.
        let all = self.sets.get(&local).map_or(&[][..], Vec::as_slice);
        match all.iter().map(|&set| set_to(set)).reduce(join) {
            None | Some(Value::Plain) => return Value::Plain,
            Some(value @ (Value::Stack(_) | Value::Somewhere)) if all.len() == 1 => return value,
            Some(_) => {}
        }
        let definitions = self.reaching.entry(at).or_insert_with(|| body.definitions(local, at).into_iter().collect());
        let values = definitions.iter().map(|definition| match definition {
            Definition::Entry => Value::Plain,
            Definition::At(set) => set_to(*set),
        });
        values.reduce(join).unwrap_or(Value::Plain)
    }

    fn given(&mut self, at: usize, instruction: &Instruction, was_set: bool, values: &[Value]) -> Value {
        let operand = |n: usize| instruction.takes.get(n).map_or(Value::Plain, |source| value_of(source, values));
        match instruction.kind {
            Kind::Constant(value) if self.wide => Value::Constant(value.cast_signed()),
            Kind::Constant(value) => Value::Constant(i64::from(value as i32)),
            Kind::LocalGet(local) => self.local(local, at, values),
            Kind::LocalTee(_) | Kind::Convert => operand(0),
            Kind::GlobalGet(global) if global == self.stack_pointer => {
                Value::Stack(BTreeSet::from([if was_set { self.frame } else { 0 }]))
            }
            Kind::Binary(binary) => arithmetic(binary, operand(0), operand(1)),
            Kind::Divide => arithmetic(Binary::Mul, operand(0), operand(1)),
            Kind::Select => join(operand(0), operand(1)),
            _ => Value::Plain,
        }
    }
}

fn value_of(source: &Source, values: &[Value]) -> Value {
    match source {
        Source::From(from) => values[*from].clone(),
        Source::OneOf(sources) => {
            sources.iter().map(|source| value_of(source, values)).reduce(join).unwrap_or(Value::Plain)
        }
        Source::Unknown => Value::Plain,
    }
}

/// What is known of a value that is one of two.
fn join(a: Value, b: Value) -> Value {
    match (a, b) {
        (a, b) if a == b => a,
        (Value::Unseen, value) | (value, Value::Unseen) => value,
        (Value::Stack(mut a), Value::Stack(b)) => {
            a.extend(b);
            if a.len() > MAX_PLACES { Value::Somewhere } else { Value::Stack(a) }
        }
        (Value::Somewhere, _) | (_, Value::Somewhere) => Value::Somewhere,
        (stack @ Value::Stack(_), _) | (_, stack @ Value::Stack(_)) => stack,
        (Value::Plain | Value::Constant(_), Value::Plain | Value::Constant(_)) => Value::Plain,
    }
}

fn arithmetic(binary: Binary, a: Value, b: Value) -> Value {
    let moved =
        |places: BTreeSet<i64>, by: i64| Value::Stack(places.into_iter().map(|place| place.wrapping_add(by)).collect());
    match (binary, a, b) {
        (_, Value::Unseen, _) | (_, _, Value::Unseen) => Value::Unseen,
        (Binary::Add, Value::Constant(a), Value::Constant(b)) => Value::Constant(a.wrapping_add(b)),
        (Binary::Sub, Value::Constant(a), Value::Constant(b)) => Value::Constant(a.wrapping_sub(b)),
        (Binary::Add, Value::Stack(places), Value::Constant(by))
        | (Binary::Add, Value::Constant(by), Value::Stack(places)) => moved(places, by),
        (Binary::Sub, Value::Stack(places), Value::Constant(by)) => moved(places, by.wrapping_neg()),
        // Stacks are aligned to 16 bytes: what is set below that was not there, if the place says so.
        (Binary::Or, Value::Stack(places), Value::Constant(by))
            if (0..16).contains(&by) && places.iter().all(|place| place & by == 0) =>
        {
            moved(places, by)
        }
        // A distance, on the stack or from something else.
        (Binary::Sub, _, Value::Stack(_) | Value::Somewhere) => Value::Plain,
        (_, Value::Stack(_) | Value::Somewhere, _) | (_, _, Value::Stack(_) | Value::Somewhere) => Value::Somewhere,
        (_, Value::Plain | Value::Constant(_), Value::Plain | Value::Constant(_)) => Value::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a function with this code gives away, whose stack pointer is `$sp` and whose frame has 64 bytes.
    fn given_away(code: &str) -> Escaped {
        let module = wat::parse_str(format!(
            r#"(module (memory 1) (global $sp (mut i32) (i32.const 0)) (global $other (mut i32) (i32.const 0))
                 (func $tell (param i32))
                 (func (param $x i32) (result i32) (local $frame i32) (local $p i32)
                   (global.set $sp (local.tee $frame (i32.sub (global.get $sp) (i32.const 64))))
                   {code}
                   (global.set $sp (i32.add (local.get $frame) (i32.const 64)))
                   (i32.const 7)))"#
        ))
        .unwrap();
        Escapes::new(module.into(), 0).of(1, 64).unwrap()
    }

    fn places(places: &[i64]) -> Escaped {
        Escaped::Places(places.iter().copied().collect())
    }

    #[test]
    fn what_a_function_reads_and_writes_itself_is_its_own() {
        for code in [
            "(i32.store offset=12 (local.get $frame) (local.get $x))",
            "(drop (i32.load (i32.add (local.get $frame) (i32.const 8))))",
            // An array, of which nobody knows which element.
            "(i32.store (i32.add (local.get $frame) (i32.shl (local.get $x) (i32.const 2))) (i32.const 1))",
            "(memory.fill (i32.add (local.get $frame) (i32.const 8)) (i32.const 0) (i32.const 16))",
            "(drop (i32.eq (local.get $frame) (local.get $x)))",
            "(call $tell (i32.sub (i32.add (local.get $frame) (i32.const 8)) (local.get $frame)))",
            "(call $tell (i32.load (local.get $frame)))",
        ] {
            assert_eq!(given_away(code), places(&[]), "{code}");
        }
    }

    #[test]
    fn an_address_that_leaves_is_given_away() {
        for (code, escaped) in [
            ("(call $tell (i32.add (local.get $frame) (i32.const 16)))", places(&[-48])),
            ("(call $tell (i32.or (local.get $frame) (i32.const 4)))", places(&[-60])),
            ("(i32.store (local.get $x) (local.get $frame))", places(&[-64])),
            ("(i32.store (local.get $frame) (i32.add (local.get $frame) (i32.const 60)))", places(&[-4])),
            ("(global.set $other (local.get $frame))", places(&[-64])),
            ("(call $tell (global.get $sp))", places(&[-64])),
            ("(return (i32.add (local.get $frame) (i32.const 8)))", places(&[-56])),
            // One of two, by a branch and by a choice.
            (
                "(call $tell (if (result i32) (local.get $x) (then (local.get $frame)) (else (i32.const 0))))",
                places(&[-64]),
            ),
            (
                "(call $tell (select (local.get $frame) (i32.add (local.get $frame) (i32.const 4)) (local.get $x)))",
                places(&[-64, -60]),
            ),
            ("(call $tell (i32.add (local.get $frame) (local.get $x)))", Escaped::Anywhere),
            ("(call $tell (i32.and (local.get $frame) (i32.const -64)))", Escaped::Anywhere),
        ] {
            assert_eq!(given_away(code), escaped, "{code}");
        }
    }

    #[test]
    fn a_local_is_what_it_was_set_to_on_the_way_there() {
        let code = "(local.set $p (i32.add (local.get $frame) (i32.const 8))) (i32.store (local.get $p) (i32.const 1))
            (local.set $p (local.get $x)) (call $tell (local.get $p))";
        assert_eq!(given_away(code), places(&[]));
        let code = "(local.set $p (local.get $x)) (if (local.get $x) (then (local.set $p (local.get $frame))))
            (call $tell (local.get $p))";
        assert_eq!(given_away(code), places(&[-64]));
        // A pointer that runs.
        let code = "(local.set $p (local.get $frame)) (loop $l (local.set $p (i32.add (local.get $p) (i32.const 4)))
            (i32.store (local.get $p) (i32.const 0)) (br_if $l (local.get $x)))";
        assert_eq!(given_away(code), places(&[]));
        assert_eq!(given_away(&format!("{code} (call $tell (local.get $p))")), Escaped::Anywhere);
    }
}
