#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mkcpio.py BOX OUT: the guest's initramfs, a "newc" archive with fixed times and owners.

/bin/box is the one program; /init and every command that box.c lists are symbolic links to it.
"""
import os
import re
import stat
import sys

box, out = sys.argv[1], sys.argv[2]
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "user", "box.c")) as f:
    applets = re.findall(r"ENTRY\((\w+)\)", f.read().split("applets[]")[1])

data = bytearray()
ino = 0


def entry(name, mode, content=b"", rdev=(0, 0)):
    global ino
    ino += 1
    fields = [ino, mode, 0, 0, 1, 0, len(content), 0, 0, rdev[0], rdev[1], len(name) + 1, 0]
    data.extend(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
    data.extend(b"\0" * (-len(data) % 4))
    data.extend(content)
    data.extend(b"\0" * (-len(data) % 4))


for directory in ("bin", "dev", "proc", "sys", "tmp"):
    entry(directory, stat.S_IFDIR | 0o755)
# The kernel opens it for init, before anything is mounted.
entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
with open(box, "rb") as f:
    entry("bin/box", stat.S_IFREG | 0o755, f.read())
entry("init", stat.S_IFLNK | 0o777, b"bin/box")
for applet in applets:
    entry("bin/" + applet, stat.S_IFLNK | 0o777, b"box")
entry("TRAILER!!!", 0)
data.extend(b"\0" * (-len(data) % 512))
with open(out, "wb") as f:
    f.write(data)
