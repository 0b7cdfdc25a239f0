/* SPDX-License-Identifier: Apache-2.0 */
/* The little C library of the guest's programs. Constants and structures come from the kernel's own headers. */
#ifndef GUEST_LIBC_H
#define GUEST_LIBC_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <asm/ioctls.h>
#include <asm/unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define IS_ERR(v) ((unsigned long)(v) >= (unsigned long)-4095)

/* A system call with up to six arguments: what the kernel returns, an error as -errno. */
long syscall6(long nr, long a, long b, long c, long d, long e, long f);
#define syscall0(nr) syscall6(nr, 0, 0, 0, 0, 0, 0)
#define syscall1(nr, a) syscall6(nr, (long)(a), 0, 0, 0, 0, 0)
#define syscall2(nr, a, b) syscall6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define syscall3(nr, a, b, c) syscall6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define syscall4(nr, a, b, c, d) syscall6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define syscall5(nr, a, b, c, d, e) syscall6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *what);
size_t strscpy(char *d, const char *s, size_t size);
long strtol10(const char *s, const char **end);

#define __printf(f, a) __attribute__((format(printf, f, a)))
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int dprintf(int fd, const char *fmt, ...) __printf(2, 3);
#define printf(...) dprintf(1, __VA_ARGS__)
int putbytes(int fd, const char *buf, size_t n);
/* "COMMAND: WHAT: error N" on standard error, and 1. */
int complain(const char *command, const char *what, long error);

_Noreturn void exit(int code);
long open(const char *path, int flags);
long read(int fd, void *buf, size_t n);
long close(int fd);
long pipe(int *fds);
long dup2(int oldfd, int newfd);
long execve(const char *path, char *const *argv, char *const *envp);
long wait4(long pid, int *status, int options);
long kill(long pid, int sig);
long getpid(void);
void sleep_ms(unsigned long ms);
uint64_t now_us(void);
void *mmap_anon(size_t len);
long munmap(void *p, size_t len);

typedef void (*handler_t)(int);
long signal(int sig, handler_t handler);
/* The same with SA_ flags, and a set of signals that wait while the handler runs: bit 0 is signal 1. */
long sigaction(int sig, handler_t handler, unsigned long flags, uint64_t mask);

/* A task with a stack of its own that runs fn(arg) and exits with its value. */
#define TASK_STACK_SIZE 32768
struct task {
	char *stack;
	long pid;
	uint32_t alive;
};
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID)
#define PROCESS_FLAGS (CLONE_VM | SIGCHLD)
long task_start(struct task *t, unsigned long flags, int (*fn)(void *), void *arg);
/* Waits for a task started with THREAD_FLAGS. */
void task_join(struct task *t);

void mutex_lock(uint32_t *m);
void mutex_unlock(uint32_t *m);

#endif
