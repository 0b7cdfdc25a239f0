/* SPDX-License-Identifier: Apache-2.0 */
/* Between the shell's line reader and its commands. */
#ifndef MINIK_SH_H
#define MINIK_SH_H
#include "libc.h"

struct builtin {
	const char *name;
	int (*run)(int argc, char **argv);
	/* Runs in the shell itself, not in a child. */
	bool here;
	const char *help;
};
extern const struct builtin builtins[];

#endif
