/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_LINKAGE_H
#define _ASM_WASM_LINKAGE_H

/* Code has no addresses: a function can neither name its own place nor its caller's. */
#define _THIS_IP_ 0UL

#endif
