# SPDX-License-Identifier: GPL-2.0
# Where the host enters the kernel, and the registers that C cannot name.
#
# A fresh instance has the __stack_pointer that the linker chose, the same for all: each entry first moves to the stack of
# its task.
#include <generated/asm-offsets.h>

	.globaltype	__stack_pointer, i32
	.globaltype	__current_task, i32
	.functype	wasm_start_kernel () -> ()
	.functype	wasm_secondary_start_kernel () -> ()
	.functype	wasm_ret_from_fork (i32, i32) -> (i32)
	.functype	wasm_user_mode_tail (i32) -> ()
	.functype	wasm_stack_overflow (i32) -> ()
	.import_module	wasm_user_mode_tail, env
	.import_name	wasm_user_mode_tail, wasm_user_mode_tail

	.section	.text.wasm_enter_task,"",@
	.type	wasm_enter_task,@function
wasm_enter_task:
	.functype	wasm_enter_task (i32) -> ()
	local.get	0
	global.set	__current_task
	local.get	0
	i32.load	TASK_STACK
	i32.const	TASK_STACK_TOP
	i32.add
	global.set	__stack_pointer
	end_function

	.section	.text._start,"",@
	.globl	_start
	.type	_start,@function
_start:
	.functype	_start () -> ()
	i32.const	init_task
	call	wasm_enter_task
	call	wasm_start_kernel
	end_function

	.section	.text._start_secondary,"",@
	.globl	_start_secondary
	.type	_start_secondary,@function
_start_secondary:
	.functype	_start_secondary (i32) -> ()
	local.get	0
	call	wasm_enter_task
	call	wasm_secondary_start_kernel
	end_function

	.section	.text.ret_from_fork,"",@
	.globl	ret_from_fork
	.type	ret_from_fork,@function
ret_from_fork:
	.functype	ret_from_fork (i32, i32) -> (i32)
	local.get	1
	call	wasm_enter_task
	local.get	0
	local.get	1
	call	wasm_ret_from_fork
	end_function

# A signal handler is left by unwinding, with the stack wherever the handler's last system call had it: put it back.
	.section	.text.user_mode_tail,"",@
	.globl	user_mode_tail
	.type	user_mode_tail,@function
user_mode_tail:
	.functype	user_mode_tail (i32) -> ()
	.local	i32
	global.get	__stack_pointer
	local.set	1
	local.get	0
	call	wasm_user_mode_tail
	local.get	1
	global.set	__stack_pointer
	end_function

# exec unwinds every frame: the next system call starts on an empty stack.
	.section	.text.user_mode_exec,"",@
	.globl	user_mode_exec
	.type	user_mode_exec,@function
user_mode_exec:
	.functype	user_mode_exec () -> ()
	global.get	__current_task
	call	wasm_enter_task
	i32.const	-1
	call	wasm_user_mode_tail
	unreachable
	end_function

	.section	.text.get_stack_pointer,"",@
	.globl	get_stack_pointer
	.type	get_stack_pointer,@function
get_stack_pointer:
	.functype	get_stack_pointer () -> (i32)
	global.get	__stack_pointer
	end_function

#ifdef CONFIG_WASM_STACK_CHECK
# It is all right on the stack that the message about an overflow is written on. Otherwise go there and write it.
	.section	.text.wasm_off_stack,"",@
	.type	wasm_off_stack,@function
wasm_off_stack:
	.functype	wasm_off_stack () -> ()
	.local	i32
	global.get	__stack_pointer
	local.tee	0
	i32.const	overflow_stack
	i32.sub
	i32.const	TASK_STACK_TOP
	i32.le_u
	if
	return
	end_if
	i32.const	overflow_stack+TASK_STACK_TOP
	global.set	__stack_pointer
	local.get	0
	call	wasm_stack_overflow
	unreachable
	end_function

# The compiler calls this from every function that has a frame and calls others, once its frame is there and before it
# stores into it. Below the guard's end the frame may not reach.
	.section	.text.__sanitizer_cov_stack_depth,"",@
	.globl	__sanitizer_cov_stack_depth
	.type	__sanitizer_cov_stack_depth,@function
__sanitizer_cov_stack_depth:
	.functype	__sanitizer_cov_stack_depth () -> ()
	global.get	__stack_pointer
	global.get	__current_task
	i32.load	TASK_STACK
	i32.const	TASK_STACK_GUARD
	i32.add
	i32.sub
	i32.const	TASK_STACK_ROOM
	i32.gt_u
	if
	call	wasm_off_stack
	end_if
	end_function
#endif

	.globl	__current_task
__current_task:
