//! The code that counts the stack that calls take. The module's documentation shows its shape.

use wasm_encoder::BlockType;

use super::body::Scratch;
use super::emit::Code;
use super::host::{HostFunction, HostGlobal};

/// How a function counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// What it takes, in bytes.
    pub(super) bytes: u32,
    /// Branches leave the function: its operators go into a block, so that they come to the code at its end.
    pub(super) block: Option<Wrap>,
}

/// The block around a function's operators.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wrap {
    /// The block's type says it all.
    Plain(BlockType),
    /// Its type is the function's own, and so are its parameters, which nothing needs there.
    Own {
        /// The type's index.
        ty: u32,
        /// How many parameters it has.
        parameters: u32,
    },
}

impl Code<'_, '_> {
    /// A function that catches exceptions keeps what is left in a local: what was thrown through its callees did not put
    /// the global back.
    fn keeps_stack(&self) -> bool {
        self.emitter.scan.scratch[Scratch::Stack.slot()]
    }

    /// At a function's entry: takes its frame, or has the host trap.
    pub(super) fn enter(&mut self, frame: Frame) {
        let (stack, kept) = (self.emitter.host.global(HostGlobal::Stack), self.local(Scratch::Stack));
        let keeps = self.keeps_stack();
        let mut sink = self.sink();
        sink.global_get(stack).i32_const(frame.bytes as i32).i32_sub();
        match keeps {
            true => sink.local_tee(kept).global_set(stack).local_get(kept),
            false => sink.global_set(stack).global_get(stack),
        };
        sink.i32_const(0).i32_lt_s();
        self.if_cold();
        self.call(HostFunction::Overflow);
        self.sink().end();
    }

    /// Begins the block around the function's operators, if there is to be one.
    pub(super) fn open(&mut self, frame: Frame) {
        let mut sink = self.sink();
        match frame.block {
            None => {}
            Some(Wrap::Plain(ty)) => _ = sink.block(ty),
            Some(Wrap::Own { ty, parameters }) => {
                for parameter in 0..parameters {
                    sink.local_get(parameter);
                }
                sink.block(BlockType::FunctionType(ty));
                for _ in 0..parameters {
                    sink.drop();
                }
            }
        }
    }

    /// In front of the function's last `end`.
    pub(super) fn close(&mut self, frame: Frame) {
        if frame.block.is_some() {
            self.sink().end();
        }
        self.leave(frame);
    }

    /// Where the function is left: gives its frame back.
    pub(super) fn leave(&mut self, frame: Frame) {
        let (stack, kept) = (self.emitter.host.global(HostGlobal::Stack), self.local(Scratch::Stack));
        let keeps = self.keeps_stack();
        let mut sink = self.sink();
        match keeps {
            true => sink.local_get(kept),
            false => sink.global_get(stack),
        };
        sink.i32_const(frame.bytes as i32).i32_add().global_set(stack);
    }

    /// In front of a call that comes back: puts the global right if a callee may have been left by an exception.
    pub(super) fn renew_stack(&mut self) {
        if self.keeps_stack() {
            let (stack, kept) = (self.emitter.host.global(HostGlobal::Stack), self.local(Scratch::Stack));
            self.sink().local_get(kept).global_set(stack);
        }
    }
}
