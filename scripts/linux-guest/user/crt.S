# SPDX-License-Identifier: Apache-2.0
# Where the host enters a program, and the registers that C cannot name.

	.globaltype	__stack_pointer, i32
	.globaltype	__tls_base, i32
	.functype	__libc_start (i32) -> ()
	.functype	__libc_clone_start (i32) -> ()
	.functype	__libc_signal (i32) -> ()

	.section	.text._start,"",@
	.globl	_start
	.export_name	_start, _start
	.type	_start,@function
_start:
	.functype	_start () -> ()
	global.get	__stack_pointer
	call	__libc_start
	end_function

# The kernel made this task's stack pointer what the parent gave to clone: what to call lies there.
	.section	.text.__libc_clone_callback,"",@
	.globl	__libc_clone_callback
	.export_name	__libc_clone_callback, __libc_clone_callback
	.type	__libc_clone_callback,@function
__libc_clone_callback:
	.functype	__libc_clone_callback () -> ()
	global.get	__stack_pointer
	call	__libc_clone_start
	end_function

# The signal's frame lies at the stack pointer.
	.section	.text.__libc_handle_signal,"",@
	.globl	__libc_handle_signal
	.export_name	__libc_handle_signal, __libc_handle_signal
	.type	__libc_handle_signal,@function
__libc_handle_signal:
	.functype	__libc_handle_signal () -> ()
	global.get	__stack_pointer
	call	__libc_signal
	end_function

	.section	.text.__set_tls_base,"",@
	.globl	__set_tls_base
	.export_name	__set_tls_base, __set_tls_base
	.type	__set_tls_base,@function
__set_tls_base:
	.functype	__set_tls_base (i32) -> ()
	local.get	0
	global.set	__tls_base
	end_function

	.section	.text.__get_tls_base,"",@
	.hidden	__get_tls_base
	.globl	__get_tls_base
	.type	__get_tls_base,@function
__get_tls_base:
	.functype	__get_tls_base () -> (i32)
	global.get	__tls_base
	end_function

	.section	.text.__get_stack_pointer,"",@
	.hidden	__get_stack_pointer
	.globl	__get_stack_pointer
	.type	__get_stack_pointer,@function
__get_stack_pointer:
	.functype	__get_stack_pointer () -> (i32)
	global.get	__stack_pointer
	end_function
