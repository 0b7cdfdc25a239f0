/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers with a mistake in each, loaded by bug=NAME. README.md says what is wrong with them. */
#ifndef MINIK_PLANTED_H
#define MINIK_PLANTED_H
#include "types.h"

void evdev_init(void);
void rtc_init(void);
void usbhub_init(void);
void binder_init(void);
void dst_init(void);
void acpi_init(void);
void fbdev_init(void);
void ring_init(void);
void netdev_init(void);
void getty_init(void);
u32 driver_cpu(u32 n);

#endif
