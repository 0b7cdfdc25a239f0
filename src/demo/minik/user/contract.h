/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of /bin/contract. */
#ifndef MINIK_CONTRACT_H
#define MINIK_CONTRACT_H
#include "libc.h"

void check(const char *name, bool ok);
/* Runs fn in a process of its own and waits: its pid, and how it ended. */
long run_child(int (*fn)(void *), void *arg, int *status);
void check_signals(void);
void check_exec(void);
/* What this program does when it is started again as the image of a check. */
int run_image(const char *name);

#endif
