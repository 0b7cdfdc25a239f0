/* SPDX-License-Identifier: Apache-2.0 */
/* The little C library of minik's programs. */
#ifndef MINIK_LIBC_H
#define MINIK_LIBC_H
#include "syscall.h"
#include "syscalls.h"
#include "types.h"

long syscall0(long nr);
long syscall1(long nr, long a);
long syscall2(long nr, long a, long b);
long syscall3(long nr, long a, long b, long c);
long syscall4(long nr, long a, long b, long c, long d);
long syscall5(long nr, long a, long b, long c, long d, long e);
long syscall6(long nr, long a, long b, long c, long d, long e, long f);

int main(int argc, char **argv, char **envp);

/* Strings come from the kernel's lib/. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
size_t strscpy(char *d, const char *s, size_t size);
long simple_strtol(const char *s, const char **end);

int dprintf(int fd, const char *fmt, ...) __printf(2, 3);
#define printf(...) dprintf(1, __VA_ARGS__)
int putbytes(int fd, const char *buf, size_t n);

void __noreturn exit(int code);
long open(const char *path, int flags);
long read(int fd, void *buf, size_t n);
long close(int fd);
long pipe(int *fds);
long dup2(int oldfd, int newfd);
long execve(const char *path, char *const *argv, char *const *envp);
long wait4_status(long pid, int *status, int options);
long kill(long pid, int sig);
long getpid(void);
long gettid(void);
void sleep_ms(u32 ms);
u64 now_us(void);
void *mmap_anon(size_t len);
long munmap(void *p);
void *malloc(size_t n);

typedef void (*sighandler_t)(int);
#define SIGINT 2
#define SIGILL 4
#define SIGKILL 9
#define SIGUSR1 10
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGTERM 15
#define SIGCHLD 17
#define SIG_DFL ((sighandler_t)0)
#define SIG_IGN ((sighandler_t)1)
long sigaction_simple(int sig, sighandler_t handler, u32 flags, u32 mask);
#define signal(sig, h) sigaction_simple(sig, h, 0, 0)

#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_VFORK 0x4000
#define CLONE_THREAD 0x10000
#define CLONE_SETTLS 0x80000
#define CLONE_CHILD_CLEARTID 0x200000

#define TASK_STACK_SIZE 8192
/* A task with a stack and thread-local storage of its own that runs fn(arg) and exits with its value. */
struct task {
	void *stack;
	long pid;
	u32 alive;
};
long task_start(struct task *t, u32 flags, int (*fn)(void *), void *arg);
/* Waits for a task started with THREAD_FLAGS. */
void task_join(struct task *t);
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID)
#define PROCESS_FLAGS (CLONE_VM | SIGCHLD)

void futex_wait(u32 *word, u32 val);
void futex_wake(u32 *word, u32 nr);
void mutex_lock(u32 *m);
void mutex_unlock(u32 *m);

#endif
