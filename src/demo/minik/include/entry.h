/* SPDX-License-Identifier: Apache-2.0 */
/* The border between user and kernel mode. */
#ifndef MINIK_ENTRY_H
#define MINIK_ENTRY_H
#include "types.h"

void enter_from_user_mode(ulong sp, ulong tp);
long exit_to_user_mode(long ret);

#endif
