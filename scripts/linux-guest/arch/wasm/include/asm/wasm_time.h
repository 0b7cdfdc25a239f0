/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_TIME_H
#define _ASM_WASM_TIME_H

/* Gives this CPU its timer. */
void wasm_clockevent_init(void);

#endif
