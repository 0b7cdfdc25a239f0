/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the boot that one file does for another. */
#ifndef MINIK_SETUP_H
#define MINIK_SETUP_H

void setup_arch(void);
void start_kernel(void);
void secondary_start_kernel(void);
void smp_prepare_boot_cpu(void);
void fork_init(void);

#endif
