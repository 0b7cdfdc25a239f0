/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/sysrq-trigger: asking the kernel for trouble, or for a word about itself. */
#ifndef MINIK_SYSRQ_H
#define MINIK_SYSRQ_H
#include "fs.h"

extern const struct file_operations sysrq_fops;

#endif
