"""For gdb at a Wasm kernel that wkdb runs: `source` this after `target remote`.

x/i, disassemble and `set disassemble-next-line on` then show Wasm instructions instead of what the bytes would be on
the processor that the guest is shown as; `info wkdb` shows where the machine is, its CPUs and its tasks.
"""

import gdb

try:
    import gdb.disassembler
except ImportError:  # gdb 12 and older
    gdb.disassembler = None


def monitor(command):
    return gdb.execute("monitor " + command, to_string=True)


class Instructions:
    """Instructions by address, as the server says: many are asked for at a time."""

    AT_ONCE = 64

    def __init__(self):
        self.known = {}

    def at(self, address):
        if address not in self.known:
            for line in monitor("wkdb-disas %x %x" % (address, self.AT_ONCE)).splitlines():
                fields = line.split(" ", 3)
                if len(fields) == 4 and fields[0].startswith("0x"):
                    self.known[int(fields[0], 16)] = (int(fields[1]), int(fields[2], 16), fields[3])
        return self.known.get(address)


instructions = Instructions()
gdb.events.new_objfile.connect(lambda event: instructions.known.clear())
gdb.events.exited.connect(lambda event: instructions.known.clear())


def symbol(address):
    text = gdb.execute("info symbol %#x" % address, to_string=True)
    return None if text.startswith("No symbol") else text.split(" in section ")[0].strip()


if gdb.disassembler is not None:

    class WasmDisassembler(gdb.disassembler.Disassembler):
        """Asks wkdb; what it does not know is left to gdb."""

        def __init__(self):
            super().__init__("wkdb")

        def __call__(self, info):
            found = instructions.at(info.address)
            if found is None:
                return None
            length, callee, text = found
            if callee:
                name = symbol(callee)
                text += " <%s>" % name if name else ""
            return gdb.disassembler.DisassemblerResult(length=length, string=text)

    gdb.disassembler.register_disassembler(WasmDisassembler(), None)


class InfoWkdb(gdb.Command):
    """Show where the machine is, what its CPUs run, and all tasks."""

    def __init__(self):
        super().__init__("info wkdb", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for title, command in (("Machine", "tick"), ("CPUs", "cpus"), ("Tasks", "tasks")):
            print(title)
            for line in monitor(command).splitlines():
                print("  " + line)


InfoWkdb()
