/* SPDX-License-Identifier: Apache-2.0 */
/* One program, many commands: it looks at the name that it was called by. */
#ifndef GUEST_BOX_H
#define GUEST_BOX_H

#include "libc.h"

struct applet {
	const char *name;
	int (*run)(int argc, char **argv);
};

extern char **environment;

/* Copies everything that a descriptor has to another. */
int copy_fd(int from, int to);

/* The first bytes of a file, as a string. */
long slurp(const char *path, char *buf, size_t size);

#define APPLET(name) int name##_main(int argc, char **argv);
APPLET(init)
APPLET(sh)
APPLET(cat)
APPLET(check)
APPLET(dmesg)
APPLET(echo)
APPLET(false)
APPLET(grep)
APPLET(halt)
APPLET(head)
APPLET(kill)
APPLET(ls)
APPLET(mkdir)
APPLET(mount)
APPLET(ps)
APPLET(rm)
APPLET(seq)
APPLET(sleep)
APPLET(stress)
APPLET(true)
APPLET(uname)
APPLET(uptime)
APPLET(wc)
APPLET(wild)

#endif
