/* SPDX-License-Identifier: Apache-2.0 */
/* System call numbers (the asm-generic ones), shared by the kernel and its user programs. */
#ifndef MINIK_SYSCALL_H
#define MINIK_SYSCALL_H

#define __NR_getcwd 17
#define __NR_dup 23
#define __NR_dup3 24
#define __NR_ioctl 29
#define __NR_openat 56
#define __NR_close 57
#define __NR_pipe2 59
#define __NR_getdents64 61
#define __NR_lseek 62
#define __NR_read 63
#define __NR_write 64
#define __NR_pread64 67
#define __NR_sync_file_range 84
#define __NR_exit 93
#define __NR_exit_group 94
#define __NR_set_tid_address 96
#define __NR_futex 98
#define __NR_nanosleep 101
#define __NR_clock_gettime 113
#define __NR_sched_yield 124
#define __NR_kill 129
#define __NR_rt_sigaction 134
#define __NR_rt_sigprocmask 135
#define __NR_rt_sigreturn 139
#define __NR_reboot 142
#define __NR_setpgid 154
#define __NR_getpgid 155
#define __NR_uname 160
#define __NR_prctl 167
#define __NR_getpid 172
#define __NR_getppid 173
#define __NR_gettid 178
#define __NR_brk 214
#define __NR_munmap 215
#define __NR_clone 220
#define __NR_execve 221
#define __NR_mmap 222
#define __NR_mlock 228
#define __NR_swapon 224
#define __NR_pause 236
#define __NR_wait4 260
#define __NR_getrandom 278
#define __NR_bpf 280
/* minik's own: holds back new tasks before they first run, so that a signal can be waiting for them. */
#define __NR_minik_hold 500
#define NR_syscalls 512

#define PR_SET_NAME 15
#define TIOCSPGRP 0x5410
#define TIOCGPGRP 0x540f
#define RB_HALT 0xcdef0123u

#endif
