//! Where things lie in the address space that a stock debugger sees: the one place for its constants and arithmetic.
//!
//! ```text
//!                i386 (wasm32)              x86-64 (wasm64)
//!   memory       0…                         0…                         the guest's linear memory, as it is
//!   code         0xe000_0000                0x7e00_0000_0000           modules one after the other, each at a base
//!   globals      0xef00_0000                0x7f00_0000_0000           a window for each module
//!   host         0xefff_f000                0x7f0f_ffff_f000           what called the outermost function
//!   frames       0xf000_0000…0xffff_0000    0x7f10_0000_0000…          synthetic call frames, a window for each task
//! ```
//!
//! A frame, as [`frames`](FrameStack) builds it and the companion's call-frame information and variable locations
//! read it (W: [`WordSize::bytes`]):
//!
//! ```text
//!   CFA + 8 n              operand-stack slot n, bottom first
//!   CFA - W                return address
//!   CFA - 2W               CFA of the caller
//!   CFA - 3W               __stack_pointer in the caller
//!   locals() - 8 (n + 1)   local n
//! ```
//!
//! Slots have 8 bytes: an i32 is sign-extended, an f32 is in the low 4.

use thiserror::Error;
use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};

use Region::{Code, Frames, Globals, Host, Memory, Nothing};

/// Bytes of a slot: a local, an operand, a global.
pub const SLOT_BYTES: u64 = 8;
/// Operand-stack slots that every frame has room for; a debugger does not see those above.
pub const OPERAND_SLOTS: u64 = 64;
/// Bytes of the globals area for one module.
pub const GLOBALS_WINDOW: u64 = 0x1_0000;
/// Globals of a module that can be shown.
pub const GLOBALS_SHOWN: u64 = GLOBALS_WINDOW / SLOT_BYTES;
/// Modules that have a globals window, and so a place.
pub const MAX_MODULES: u32 = 240;
/// Bytes of the frame region for one task. A deeper stack runs on into the next task's window: what is there depends
/// on the task that is asked, so that this only confuses a debugger that caches memory across threads.
pub const FRAMES_WINDOW: u64 = 0x4_0000;
/// Tasks with a window of their own; the next ones share them.
pub const FRAMES_WINDOWS: u64 = 896;
/// Bytes of code of the host symbol.
pub const HOST_BYTES: u64 = 16;

/// Code bases are multiples of this.
const CODE_ALIGN: u64 = 0x1_0000;

/// The guest's word: it decides which architecture the debugger is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WordSize {
    /// wasm32, shown as i386.
    Four,
    /// wasm64, shown as x86-64.
    Eight,
}

impl WordSize {
    /// Bytes of a pointer.
    pub fn bytes(self) -> u64 {
        match self {
            WordSize::Four => 4,
            WordSize::Eight => 8,
        }
    }

    /// The word size with this many bytes, if there is one.
    pub fn from_bytes(bytes: u64) -> Option<WordSize> {
        match bytes {
            4 => Some(WordSize::Four),
            8 => Some(WordSize::Eight),
            _ => None,
        }
    }

    /// The DWARF numbers of the registers that carry a frame.
    pub fn registers(self) -> Registers {
        match self {
            WordSize::Four => Registers { cfa: 5, stack_pointer: 4, pc: 8, globals: 3 },
            WordSize::Eight => Registers { cfa: 6, stack_pointer: 7, pc: 16, globals: 15 },
        }
    }

    fn regions(self) -> Regions {
        match self {
            WordSize::Four => Regions {
                code: 0xe000_0000,
                globals: 0xef00_0000,
                host: 0xefff_f000,
                frames: 0xf000_0000,
                frames_end: 0xffff_0000,
            },
            WordSize::Eight => Regions {
                code: 0x7e00_0000_0000,
                globals: 0x7f00_0000_0000,
                host: 0x7f0f_ffff_f000,
                frames: 0x7f10_0000_0000,
                frames_end: 0x7f10_0fff_0000,
            },
        }
    }
}

/// DWARF register numbers of the architecture that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// ebp, rbp: the canonical frame address.
    pub cfa: u16,
    /// esp, rsp: the guest's `__stack_pointer`.
    pub stack_pointer: u16,
    /// eip, rip.
    pub pc: u16,
    /// ebx, r15: the base of the globals area.
    pub globals: u16,
}

#[derive(Debug, Clone, Copy)]
struct Regions {
    code: u64,
    globals: u64,
    host: u64,
    frames: u64,
    frames_end: u64,
}

/// A module for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "no room for {module}'s {code_len} bytes of code among what a debugger can be shown: it sees no symbols of it",
    module = format_args!("module {}", .module.0)
)]
pub struct LayoutFull {
    /// The module.
    pub module: ModuleId,
    /// Bytes of its code section.
    pub code_len: u64,
}

/// What an address of the debugger's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Guest memory, or would be if the guest had so much.
    Memory,
    /// A byte of a module's code section.
    Code(CodeAddress),
    /// A byte of a global.
    Globals {
        /// The module that has it.
        module: ModuleId,
        /// Its index there; the module may have fewer.
        global: u32,
        /// The byte of its slot.
        byte: u64,
    },
    /// A byte of the host's symbol, from its start.
    Host(u64),
    /// A byte of the frame region: [`FrameStack::place`] tells what it is in a task.
    Frames,
    /// None of these.
    Nothing,
}

/// The address space: grows by a module at a time, in the order of module ids, and never moves one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    word: WordSize,
    /// Base and length of the code of each module.
    modules: Vec<(u64, u64)>,
}

impl Layout {
    /// One without modules.
    pub fn new(word: WordSize) -> Layout {
        Layout { word, modules: Vec::new() }
    }

    /// The word size that it is for.
    pub fn word(&self) -> WordSize {
        self.word
    }

    /// Gives the next module, by its id, a place: `code_len` bytes, the length of its code section's contents.
    ///
    /// # Errors
    ///
    /// [`LayoutFull`]; the module then has no place, and later, smaller ones may have.
    pub fn add_module(&mut self, code_len: u64) -> Result<ModuleId, LayoutFull> {
        let module = ModuleId(u32::try_from(self.modules.len()).unwrap_or(u32::MAX));
        let regions = self.word.regions();
        let base = self.modules.last().map_or(regions.code, |(base, len)| (base + len).next_multiple_of(CODE_ALIGN));
        // A gap between modules: a return address behind the last call of one is not in the next.
        let end = base.checked_add(code_len).and_then(|end| end.checked_add(CODE_ALIGN));
        let fits = module.0 < MAX_MODULES && end.is_some_and(|end| end <= regions.globals);
        self.modules.push(if fits { (base, code_len) } else { (base, 0) });
        if fits { Ok(module) } else { Err(LayoutFull { module, code_len }) }
    }

    /// The address of the first byte of a module's code section.
    pub fn code_base(&self, module: ModuleId) -> Option<u64> {
        let &(base, len) = self.modules.get(module.0 as usize)?;
        (len > 0).then_some(base)
    }

    /// The address of an instruction; of the end of a module's code too.
    pub fn code_address(&self, address: CodeAddress) -> Option<u64> {
        let &(base, len) = self.modules.get(address.module.0 as usize)?;
        (len > 0 && u64::from(address.offset.0) <= len).then(|| base + u64::from(address.offset.0))
    }

    /// The base of the globals area: what the globals register holds.
    pub fn globals_base(&self) -> u64 {
        self.word.regions().globals
    }

    /// Where a module's globals begin, from the base of the globals area.
    pub fn globals_offset(module: ModuleId) -> u64 {
        u64::from(module.0) * GLOBALS_WINDOW
    }

    /// The address of a global's slot; none if that is not shown.
    pub fn global_address(&self, module: ModuleId, global: u32) -> Option<u64> {
        (module.0 < MAX_MODULES && u64::from(global) < GLOBALS_SHOWN)
            .then(|| self.globals_base() + Self::globals_offset(module) + SLOT_BYTES * u64::from(global))
    }

    /// The address of the symbol that stands for the host. Execution ends there; it has [`HOST_BYTES`].
    pub fn host(&self) -> u64 {
        self.word.regions().host
    }

    /// Where the outermost function returns to.
    pub fn host_return(&self) -> u64 {
        self.host() + HOST_BYTES / 2
    }

    /// The first address that is not guest memory: memory from there on cannot be seen.
    pub fn memory_end(&self) -> u64 {
        self.word.regions().code
    }

    /// What an address is.
    pub fn region(&self, address: u64) -> Region {
        let regions = self.word.regions();
        if address < regions.code {
            Memory
        } else if address < regions.globals {
            self.code_at(address).map_or(Nothing, Code)
        } else if address < regions.globals + u64::from(MAX_MODULES) * GLOBALS_WINDOW {
            let offset = address - regions.globals;
            Globals {
                module: ModuleId((offset / GLOBALS_WINDOW) as u32),
                global: (offset % GLOBALS_WINDOW / SLOT_BYTES) as u32,
                byte: offset % SLOT_BYTES,
            }
        } else if (regions.host..regions.host + HOST_BYTES).contains(&address) {
            Host(address - regions.host)
        } else if (regions.frames..regions.frames_end).contains(&address) {
            Frames
        } else {
            Nothing
        }
    }

    /// The byte of code at an address.
    pub fn code_at(&self, address: u64) -> Option<CodeAddress> {
        let module = self.modules.partition_point(|&(base, _)| base <= address).checked_sub(1)?;
        // A module without a place has the base of the next one.
        let module = self.modules[..=module].iter().rposition(|&(_, len)| len > 0)?;
        let (base, len) = self.modules[module];
        let offset = address - base;
        (offset < len).then_some(CodeAddress { module: ModuleId(module as u32), offset: CodeOffset(offset as u32) })
    }
}

/// A part of a frame, by its place relative to the CFA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Where the function returns to: the instruction after the caller's call. One word.
    ReturnPc,
    /// The CFA of the caller. One word.
    CallerCfa,
    /// `__stack_pointer` in the caller. One word.
    CallerStackPointer,
    /// A Wasm local.
    Local(u32),
    /// An operand, counted from the bottom.
    Operand(u32),
}

impl Slot {
    /// Its address, minus the CFA.
    pub fn offset(self, word: WordSize) -> i64 {
        let bytes = word.bytes() as i64;
        match self {
            Slot::ReturnPc => -bytes,
            Slot::CallerCfa => -2 * bytes,
            Slot::CallerStackPointer => -3 * bytes,
            Slot::Local(n) => -locals_below(word) - SLOT_BYTES as i64 * (i64::from(n) + 1),
            Slot::Operand(n) => SLOT_BYTES as i64 * i64::from(n),
        }
    }

    /// Its size in bytes.
    pub fn bytes(self, word: WordSize) -> u64 {
        match self {
            Slot::ReturnPc | Slot::CallerCfa | Slot::CallerStackPointer => word.bytes(),
            Slot::Local(_) | Slot::Operand(_) => SLOT_BYTES,
        }
    }

    /// The part of a frame that has the byte at this offset from the CFA, and which of its bytes that is. It may lie
    /// outside the frame: in a local or operand that the function does not have.
    fn at(offset: i64, word: WordSize) -> Option<(Slot, u64)> {
        let index = |from_zero: i64| u32::try_from(from_zero / SLOT_BYTES as i64).ok();
        let slot = if offset >= 0 {
            Slot::Operand(index(offset)?)
        } else if offset < -locals_below(word) {
            Slot::Local(index(-locals_below(word) - offset - 1)?)
        } else {
            // Between these words and the locals may be a gap, for alignment.
            *[Slot::ReturnPc, Slot::CallerCfa, Slot::CallerStackPointer]
                .iter()
                .find(|slot| slot.offset(word) <= offset)?
        };
        Some((slot, (offset - slot.offset(word)) as u64))
    }
}

/// From the CFA down to the end of local 0: three words, rounded up to a slot.
fn locals_below(word: WordSize) -> i64 {
    (3 * word.bytes()).next_multiple_of(SLOT_BYTES) as i64
}

/// The frames of one task's stack, as addresses: the CFA of a frame depends on nothing but the frames outside it, so
/// that it stays the same from stop to stop for as long as the frame lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameStack {
    word: WordSize,
    /// The CFA and the count of locals of each frame, innermost first.
    frames: Vec<(u64, u32)>,
}

impl FrameStack {
    /// Lays out a stack. `task` is a number of the task's own, as its runner's; `locals` the count of locals of each
    /// frame's function, innermost first, as debuggers count. What does not fit is left out: the *innermost* frames
    /// have a place only if all outer ones have.
    pub fn new(word: WordSize, task: u32, locals: &[u32]) -> FrameStack {
        let regions = word.regions();
        let mut top = regions.frames_end - (u64::from(task) % FRAMES_WINDOWS) * FRAMES_WINDOW;
        let mut frames = Vec::with_capacity(locals.len());
        for &count in locals.iter().rev() {
            let cfa = top - OPERAND_SLOTS * SLOT_BYTES;
            let below = locals_below(word) as u64 + SLOT_BYTES * u64::from(count);
            let Some(bottom) = cfa.checked_sub(below).map(|bottom| bottom & !0xf) else { break };
            if bottom < regions.frames + OPERAND_SLOTS * SLOT_BYTES {
                break;
            }
            frames.push((cfa, count));
            top = bottom;
        }
        // The deepest frames are those without a place.
        frames.reverse();
        FrameStack { word, frames }
    }

    /// How many frames have a place: less than were asked for only if the stack is deeper than the region.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The CFA of a frame by its depth from the innermost, of those that have a place.
    pub fn cfa(&self, depth: usize) -> Option<u64> {
        self.frames.get(depth).map(|&(cfa, _)| cfa)
    }

    /// The CFA of the host's frame, outside the outermost.
    pub fn host_cfa(&self) -> u64 {
        self.word.regions().frames_end
    }

    /// The address of a part of a frame.
    pub fn address(&self, depth: usize, slot: Slot) -> Option<u64> {
        self.cfa(depth)?.checked_add_signed(slot.offset(self.word))
    }

    /// What is at an address: the frame's depth, the part, and the byte of the part.
    pub fn place(&self, address: u64) -> Option<(usize, Slot, u64)> {
        // Frames outside the one sought lie higher.
        let lowest = |&(cfa, count): &(u64, u32)| cfa - locals_below(self.word) as u64 - SLOT_BYTES * u64::from(count);
        let depth = self.frames.partition_point(|&(cfa, _)| cfa + OPERAND_SLOTS * SLOT_BYTES <= address);
        let frame = self.frames.get(depth)?;
        if address < lowest(frame) {
            return None;
        }
        let (slot, byte) = Slot::at(address.wrapping_sub(frame.0).cast_signed(), self.word)?;
        (byte < slot.bytes(self.word)).then_some((depth, slot, byte))
    }
}
