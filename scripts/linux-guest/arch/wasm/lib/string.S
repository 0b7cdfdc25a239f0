# SPDX-License-Identifier: GPL-2.0
# In assembly: a compiler that sees memory.copy in C writes a call of memcpy.

	.section	.text.memcpy,"",@
	.globl	memcpy
	.type	memcpy,@function
memcpy:
	.functype	memcpy (i32, i32, i32) -> (i32)
	local.get	0
	local.get	1
	local.get	2
	memory.copy	0, 0
	local.get	0
	end_function

	.section	.text.memmove,"",@
	.globl	memmove
	.type	memmove,@function
memmove:
	.functype	memmove (i32, i32, i32) -> (i32)
	local.get	0
	local.get	1
	local.get	2
	memory.copy	0, 0
	local.get	0
	end_function

	.section	.text.memset,"",@
	.globl	memset
	.type	memset,@function
memset:
	.functype	memset (i32, i32, i32) -> (i32)
	local.get	0
	local.get	1
	local.get	2
	memory.fill	0
	local.get	0
	end_function
