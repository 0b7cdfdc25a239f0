/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls. Each takes and gives only 32-bit values, so that its Wasm type follows from its arity. */
#ifndef MINIK_SYSCALLS_H
#define MINIK_SYSCALLS_H
#include "types.h"

struct timespec {
	s64 tv_sec;
	long tv_nsec;
};
struct sigaction_arg {
	ulong handler;
	u32 flags;
	u32 mask;
};

/* fs/ */
long sys_openat(long dfd, const char *path, long flags, u32 mode);
long sys_close(u32 fd);
long sys_read(u32 fd, char *buf, size_t n);
long sys_write(u32 fd, const char *buf, size_t n);
long sys_pread64(u32 fd, char *buf, size_t n, u32 pos);
long sys_lseek(u32 fd, long off, u32 whence);
long sys_getdents64(u32 fd, char *buf, size_t n);
long sys_ioctl(u32 fd, u32 cmd, ulong arg);
long sys_dup(u32 fd);
long sys_dup3(u32 oldfd, u32 newfd, u32 flags);
long sys_pipe2(int *fds, u32 flags);
long sys_execve(const char *path, char *const *argv, char *const *envp);
/* kernel/ */
long sys_exit(long code);
long sys_exit_group(long code);
long sys_set_tid_address(u32 *tid);
long sys_futex(u32 *uaddr, u32 op, u32 val, const struct timespec *timeout);
long sys_nanosleep(const struct timespec *req, struct timespec *rem);
long sys_clock_gettime(long clock, struct timespec *ts);
long sys_sched_yield(void);
long sys_kill(long pid, long sig);
long sys_rt_sigaction(long sig, const struct sigaction_arg *act, struct sigaction_arg *old, u32 size);
long sys_rt_sigprocmask(long how, const u32 *set, u32 *old, u32 size);
long sys_rt_sigreturn(void);
long sys_pause(void);
long sys_reboot(u32 cmd);
long sys_setpgid(long pid, long pgid);
long sys_getpgid(long pid);
long sys_uname(char *buf, size_t size);
long sys_prctl(long option, ulong a, ulong b, ulong c, ulong d);
long sys_getpid(void);
long sys_getppid(void);
long sys_gettid(void);
long sys_clone(u32 flags, ulong stack, u32 *ptid, u32 *ctid, ulong tls);
long sys_wait4(long pid, int *status, u32 options, ulong rusage);
long sys_minik_hold(long on);
long sys_getrandom(char *buf, size_t n, u32 flags);
/* mm/ */
long sys_brk(ulong brk);
long sys_mmap(ulong addr, size_t len, u32 prot, u32 flags, long fd, u32 off);
long sys_munmap(ulong addr, size_t len);

#endif
