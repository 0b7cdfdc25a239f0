# SPDX-License-Identifier: Apache-2.0
# Entry points and per-instance registers: what C cannot say.
#
# Every task has an instance of this module of its own, so a Wasm global is a register of that task. A fresh
# instance's __stack_pointer is the link-time one, which all share: each entry point first moves to the task's stack.

	.globaltype	__stack_pointer, i32
	.globaltype	__user_stack_pointer, i32
	.globaltype	__user_tls_base, i32
	.globaltype	__current_task, i32

	.functype	start_kernel () -> ()
	.functype	secondary_start_kernel () -> ()
	.functype	__ret_from_fork (i32, i32) -> (i32)
	.functype	wasm_user_mode_tail (i32) -> ()
	.import_module	wasm_user_mode_tail, env
	.import_name	wasm_user_mode_tail, wasm_user_mode_tail

	.section	.text._start,"",@
	.globl	_start
	.type	_start,@function
_start:
	.functype	_start () -> ()
	i32.const	init_task
	global.set	__current_task
	i32.const	init_task
	global.set	__stack_pointer
	call	start_kernel
	end_function

# The argument is the idle task (7.0) or the top of its stack (6.4): the task lies at the top of its own stack, so
# both are the same address.
	.section	.text._start_secondary,"",@
	.globl	_start_secondary
	.type	_start_secondary,@function
_start_secondary:
	.functype	_start_secondary (i32) -> ()
	local.get	0
	global.set	__current_task
	local.get	0
	global.set	__stack_pointer
	call	secondary_start_kernel
	end_function

	.section	.text.ret_from_fork,"",@
	.globl	ret_from_fork
	.type	ret_from_fork,@function
ret_from_fork:
	.functype	ret_from_fork (i32, i32) -> (i32)
	local.get	1
	global.set	__current_task
	local.get	1
	global.set	__stack_pointer
	local.get	0
	local.get	1
	call	__ret_from_fork
	end_function

# A signal handler may have left the kernel stack anywhere (it is unwound, not returned from): put it back.
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
	global.set	__stack_pointer
	i32.const	-1
	call	wasm_user_mode_tail
	unreachable
	end_function

	.section	.text.get_current,"",@
	.globl	get_current
	.type	get_current,@function
get_current:
	.functype	get_current () -> (i32)
	global.get	__current_task
	end_function

	.section	.text.get_stack_pointer,"",@
	.globl	get_stack_pointer
	.type	get_stack_pointer,@function
get_stack_pointer:
	.functype	get_stack_pointer () -> (i32)
	global.get	__stack_pointer
	end_function

	.section	.text.get_user_stack_pointer,"",@
	.globl	get_user_stack_pointer
	.type	get_user_stack_pointer,@function
get_user_stack_pointer:
	.functype	get_user_stack_pointer () -> (i32)
	global.get	__user_stack_pointer
	end_function

	.section	.text.get_user_tls_base,"",@
	.globl	get_user_tls_base
	.type	get_user_tls_base,@function
get_user_tls_base:
	.functype	get_user_tls_base () -> (i32)
	global.get	__user_tls_base
	end_function

	.section	.text.set_user_stack_pointer,"",@
	.globl	set_user_stack_pointer
	.type	set_user_stack_pointer,@function
set_user_stack_pointer:
	.functype	set_user_stack_pointer (i32) -> ()
	local.get	0
	global.set	__user_stack_pointer
	end_function

	.section	.text.set_user_tls_base,"",@
	.globl	set_user_tls_base
	.type	set_user_tls_base,@function
set_user_tls_base:
	.functype	set_user_tls_base (i32) -> ()
	local.get	0
	global.set	__user_tls_base
	end_function

	.globl	__user_stack_pointer
__user_stack_pointer:
	.globl	__user_tls_base
__user_tls_base:
	.globl	__current_task
__current_task:
