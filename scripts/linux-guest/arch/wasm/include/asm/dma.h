/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_WASM_DMA_H
#define _ASM_WASM_DMA_H

#define MAX_DMA_ADDRESS PAGE_OFFSET

#endif
