// SPDX-License-Identifier: Apache-2.0
/* System calls, tasks, signals. */
#include "libc.h"
#include <asm/sigframe.h>

__attribute__((import_module("env"), import_name("__wasm_syscall_6")))
long __wasm_syscall_6(unsigned long sp, unsigned long tp, long nr, long a, long b, long c, long d, long e, long f);
__attribute__((import_module("env"), import_name("__wasm_abort"))) _Noreturn void __wasm_abort(void);

/* The linker makes __wasm_apply_data_relocs, which the host calls, only for a module that has something to relocate. */
__attribute__((used)) static const void *const relocated = &relocated;

unsigned long __get_stack_pointer(void);
unsigned long __get_tls_base(void);
int main(int argc, char **argv, char **envp);

long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	return __wasm_syscall_6(__get_stack_pointer(), __get_tls_base(), nr, a, b, c, d, e, f);
}

void __libc_start(unsigned long *sp)
{
	int argc = (int)sp[0];
	char **argv = (char **)(sp + 1);

	exit(main(argc, argv, argv + argc + 1));
}

/* What task_start() left at the top of the new task's stack. */
struct clone_frame {
	int (*fn)(void *);
	void *arg;
	uint32_t pad[2];
};

void __libc_clone_start(struct clone_frame *frame)
{
	syscall1(__NR_exit, frame->fn(frame->arg));
	__wasm_abort();
}

void __libc_signal(struct rt_sigframe *frame)
{
	((handler_t)frame->handler)((int)frame->signo);
	syscall0(__NR_rt_sigreturn);
	__wasm_abort();
}

/*
 * The task shares all memory with this one, but has globals of its own, and a stack. Nothing here is thread-local, so it
 * needs no block for that.
 */
long task_start(struct task *t, unsigned long flags, int (*fn)(void *), void *arg)
{
	struct clone_frame *frame;

	t->stack = mmap_anon(TASK_STACK_SIZE);
	if (IS_ERR(t->stack))
		return (long)t->stack;
	frame = (struct clone_frame *)(t->stack + TASK_STACK_SIZE) - 1;
	frame->fn = fn;
	frame->arg = arg;
	t->alive = 1;
	t->pid = syscall5(__NR_clone, flags, frame, 0, &t->alive, 0);
	if (t->pid < 0)
		munmap(t->stack, TASK_STACK_SIZE);
	return t->pid;
}

void task_join(struct task *t)
{
	while (__atomic_load_n(&t->alive, __ATOMIC_SEQ_CST))
		syscall4(__NR_futex_time64, &t->alive, FUTEX_WAIT, 1, 0);
	munmap(t->stack, TASK_STACK_SIZE);
}

/* 0 free, 1 locked, 2 locked with somebody waiting. */
void mutex_lock(uint32_t *m)
{
	uint32_t c = 0;

	if (__atomic_compare_exchange_n(m, &c, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(m, 2, __ATOMIC_SEQ_CST))
		syscall4(__NR_futex_time64, m, FUTEX_WAIT, 2, 0);
}

void mutex_unlock(uint32_t *m)
{
	if (__atomic_exchange_n(m, 0, __ATOMIC_SEQ_CST) == 2)
		syscall4(__NR_futex_time64, m, FUTEX_WAKE, 1, 0);
}

void exit(int code)
{
	syscall1(__NR_exit_group, code);
	__wasm_abort();
}

long open(const char *path, int flags)
{
	return syscall4(__NR_openat, AT_FDCWD, path, flags | O_LARGEFILE, 0644);
}

long read(int fd, void *buf, size_t n)
{
	return syscall3(__NR_read, fd, buf, n);
}

long close(int fd)
{
	return syscall1(__NR_close, fd);
}

long pipe(int *fds)
{
	return syscall2(__NR_pipe2, fds, 0);
}

long dup2(int oldfd, int newfd)
{
	return syscall3(__NR_dup3, oldfd, newfd, 0);
}

long execve(const char *path, char *const *argv, char *const *envp)
{
	return syscall3(__NR_execve, path, argv, envp);
}

long wait4(long pid, int *status, int options)
{
	struct {
		int signo, err, code, pid, uid, status;
		char rest[104];
	} info = { 0 };
	long ret = syscall5(__NR_waitid, pid < 0 ? P_ALL : P_PID, pid < 0 ? 0 : pid, &info, options | WEXITED, 0);

	if (ret < 0)
		return ret;
	/* As wait4 would say it: the exit code in the second byte, or the signal in the first. */
	*status = info.code == 1 ? (info.status & 0xff) << 8 : info.status & 0x7f;
	return info.pid;
}

long kill(long pid, int sig)
{
	return syscall2(__NR_kill, pid, sig);
}

long getpid(void)
{
	return syscall0(__NR_getpid);
}

void sleep_ms(unsigned long ms)
{
	struct __kernel_timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	syscall4(__NR_clock_nanosleep_time64, 1, 0, &ts, 0);
}

uint64_t now_us(void)
{
	struct __kernel_timespec ts = { 0, 0 };

	syscall2(__NR_clock_gettime64, 1, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void *mmap_anon(size_t len)
{
	return (void *)syscall6(__NR_mmap2, 0, (long)len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

long munmap(void *p, size_t len)
{
	return syscall2(__NR_munmap, p, len);
}

long sigaction(int sig, handler_t handler, unsigned long flags, uint64_t mask)
{
	struct {
		handler_t handler;
		unsigned long flags;
		sigset_t mask;
	} act = { handler, flags, { { (unsigned long)mask, (unsigned long)(mask >> 32) } } };

	return syscall4(__NR_rt_sigaction, sig, &act, 0, sizeof(sigset_t));
}

long signal(int sig, handler_t handler)
{
	return sigaction(sig, handler, 0, 0);
}
