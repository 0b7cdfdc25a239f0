//! The least of a remote stub that lets a debugger look at a guest that stands still: registers and memory of one task
//! whose stack is given, laid out by the layout under test.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use wkdb_debugger::companion::layout::{FrameStack, Layout, Region, Slot, WordSize};

/// A frame of the guest.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// As the debugger's address; of a caller, behind its call.
    pub(crate) pc: u64,
    pub(crate) stack_pointer: u64,
    pub(crate) locals: Vec<u64>,
    pub(crate) operands: Vec<u64>,
}

/// What a debugger wrote: addresses and bytes.
pub(crate) type Written = Arc<Mutex<Vec<(u64, Vec<u8>)>>>;

/// A guest that stands still.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) layout: Layout,
    /// Innermost first.
    pub(crate) frames: Vec<Frame>,
    /// By address.
    pub(crate) memory: BTreeMap<u64, u8>,
    /// Values of the globals of each module.
    pub(crate) globals: Vec<Vec<u64>>,
    /// What the debugger wrote.
    pub(crate) written: Written,
}

impl Guest {
    pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
        self.memory.extend((address..).zip(bytes.iter().copied()));
    }

    fn stack(&self) -> FrameStack {
        let locals: Vec<u32> = self.frames.iter().map(|frame| frame.locals.len() as u32).collect();
        FrameStack::new(self.layout.word(), 7, &locals)
    }

    fn byte(&self, address: u64) -> Option<u8> {
        match self.layout.region(address) {
            Region::Memory => Some(self.memory.get(&address).copied().unwrap_or(0)),
            Region::Code(_) | Region::Host(_) => Some(0x90),
            Region::Globals { module, global, byte } => {
                let value = *self.globals.get(module.0 as usize)?.get(global as usize)?;
                Some((value >> (8 * byte)) as u8)
            }
            Region::Frames => {
                let stack = self.stack();
                let (depth, slot, byte) = stack.place(address)?;
                let caller = self.frames.get(depth + 1);
                let value = match slot {
                    Slot::ReturnPc => caller.map_or(self.layout.host_return(), |frame| frame.pc),
                    Slot::CallerCfa => stack.cfa(depth + 1).unwrap_or(stack.host_cfa()),
                    Slot::CallerStackPointer => caller.map_or(0, |frame| frame.stack_pointer),
                    Slot::Local(index) => self.frames[depth].locals[index as usize],
                    Slot::Operand(index) => self.frames[depth].operands.get(index as usize).copied().unwrap_or(0),
                };
                Some((value >> (8 * byte)) as u8)
            }
            Region::Nothing => None,
        }
    }

    fn registers(&self) -> String {
        let word = self.layout.word();
        let numbers = word.registers();
        let frame = &self.frames[0];
        // In gdb's order, which is not that of DWARF.
        let (count, order): (usize, fn(usize) -> u16) = match word {
            WordSize::Four => (9, |index| index as u16),
            WordSize::Eight => (17, |index| [0, 3, 2, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16][index]),
        };
        let mut text = String::new();
        for number in (0..count).map(order) {
            let value = match number {
                n if n == numbers.pc => frame.pc,
                n if n == numbers.cfa => self.stack().cfa(0).expect("it fits"),
                n if n == numbers.stack_pointer => frame.stack_pointer,
                n if n == numbers.globals => self.layout.globals_base(),
                _ => 0,
            };
            text.extend(value.to_le_bytes()[..word.bytes() as usize].iter().map(|byte| format!("{byte:02x}")));
        }
        text
    }

    fn answer(&self, packet: &str) -> String {
        let numbers = |text: &str| -> Vec<u64> {
            text.split([',', ':']).take(2).map(|number| u64::from_str_radix(number, 16).expect("hexadecimal")).collect()
        };
        let arch = match self.layout.word() {
            WordSize::Four => "i386",
            WordSize::Eight => "i386:x86-64",
        };
        match packet.as_bytes() {
            [b'q', b'S', b'u', b'p', ..] => "PacketSize=4000;qXfer:features:read+".into(),
            _ if packet.starts_with("qXfer:features:read:target.xml:0,") => {
                format!("l<target><architecture>{arch}</architecture><osabi>none</osabi></target>")
            }
            _ if packet.starts_with("qXfer:features:read") => "l".into(),
            _ if packet.starts_with("qAttached") => "1".into(),
            b"?" => "S05".into(),
            b"g" => self.registers(),
            [b'H', ..] | b"D" => "OK".into(),
            [b'm', ..] => {
                let [address, len] = numbers(&packet[1..])[..] else { return "E01".into() };
                let bytes: Vec<String> =
                    (address..address + len).map_while(|at| Some(format!("{:02x}", self.byte(at)?))).collect();
                if bytes.is_empty() { "E01".into() } else { bytes.concat() }
            }
            [b'M', ..] => {
                let address = numbers(&packet[1..])[0];
                let hex = packet.rsplit(':').next().unwrap_or_default();
                let bytes = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"));
                self.written.lock().expect("not poisoned").push((address, bytes.collect()));
                "OK".into()
            }
            _ => String::new(),
        }
    }

    /// Serves one debugger; the port.
    pub(crate) fn serve(self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        thread::spawn(move || {
            let (connection, _) = listener.accept()?;
            self.talk(connection)
        });
        port
    }

    fn talk(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut pending = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let len = connection.read(&mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            pending.extend_from_slice(&buffer[..len]);
            while let Some(start) = pending.iter().position(|&byte| byte == b'$') {
                let Some(end) = pending.iter().position(|&byte| byte == b'#').filter(|end| end + 2 < pending.len())
                else {
                    break;
                };
                let packet = String::from_utf8_lossy(&pending[start + 1..end]).into_owned();
                pending.drain(..end + 3);
                let answer = self.answer(&packet);
                let sum = answer.bytes().fold(0_u8, u8::wrapping_add);
                connection.write_all(format!("+${answer}#{sum:02x}").as_bytes())?;
            }
        }
    }
}
