/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the console while it is polled. */
#ifndef MINIK_GETTY_H
#define MINIK_GETTY_H

void hvc_poll_begin(void);
void hvc_poll_end(void);

#endif
