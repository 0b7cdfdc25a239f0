/* SPDX-License-Identifier: Apache-2.0 */
/* System calls, tasks, signals, output. */
#include "libc.h"
#include "sigframe.h"

#define HOST(name) __attribute__((import_module("env"), import_name(#name)))
HOST(__wasm_syscall_0) long __wasm_syscall_0(ulong sp, ulong tp, long nr);
HOST(__wasm_syscall_1) long __wasm_syscall_1(ulong sp, ulong tp, long nr, long a);
HOST(__wasm_syscall_2) long __wasm_syscall_2(ulong sp, ulong tp, long nr, long a, long b);
HOST(__wasm_syscall_3) long __wasm_syscall_3(ulong sp, ulong tp, long nr, long a, long b, long c);
HOST(__wasm_syscall_4) long __wasm_syscall_4(ulong sp, ulong tp, long nr, long a, long b, long c, long d);
HOST(__wasm_syscall_5) long __wasm_syscall_5(ulong sp, ulong tp, long nr, long a, long b, long c, long d, long e);
HOST(__wasm_syscall_6)
long __wasm_syscall_6(ulong sp, ulong tp, long nr, long a, long b, long c, long d, long e, long f);
HOST(__wasm_abort) void __noreturn __wasm_abort(void);

/* The linker makes __wasm_apply_data_relocs, which the host calls, only for a module that has something to relocate. */
__used static const void *const relocated = &relocated;

ulong __get_stack_pointer(void);
ulong __get_tls_base(void);
void __set_tls_base(ulong tp);
void __wasm_init_tls(void *block);

#define REGS __get_stack_pointer(), __get_tls_base()
long syscall0(long nr) { return __wasm_syscall_0(REGS, nr); }
long syscall1(long nr, long a) { return __wasm_syscall_1(REGS, nr, a); }
long syscall2(long nr, long a, long b) { return __wasm_syscall_2(REGS, nr, a, b); }
long syscall3(long nr, long a, long b, long c) { return __wasm_syscall_3(REGS, nr, a, b, c); }
long syscall4(long nr, long a, long b, long c, long d) { return __wasm_syscall_4(REGS, nr, a, b, c, d); }
long syscall5(long nr, long a, long b, long c, long d, long e) { return __wasm_syscall_5(REGS, nr, a, b, c, d, e); }
long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	return __wasm_syscall_6(REGS, nr, a, b, c, d, e, f);
}

void __libc_start(ulong *sp)
{
	int argc = (int)sp[0];
	char **argv = (char **)(sp + 1);

	exit(main(argc, argv, argv + argc + 1));
}

/* What task_start() left at the top of the new task's stack. */
struct clone_frame {
	int (*fn)(void *);
	void *arg;
	u32 pad[2];
};

int __libc_clone_start(struct clone_frame *frame)
{
	syscall1(__NR_exit, frame->fn(frame->arg));
	__wasm_abort();
}

void __libc_signal(struct sigframe *frame)
{
	((sighandler_t)frame->handler)((int)frame->signo);
	syscall0(__NR_rt_sigreturn);
	__wasm_abort();
}

long task_start(struct task *t, u32 flags, int (*fn)(void *), void *arg)
{
	size_t tls = ALIGN(__builtin_wasm_tls_size(), 16);
	ulong mine = __get_tls_base(), block;
	struct clone_frame *frame;

	t->stack = mmap_anon(TASK_STACK_SIZE);
	if (IS_ERR(t->stack))
		return PTR_ERR(t->stack);
	block = (ulong)t->stack + TASK_STACK_SIZE - tls;
	/* Fills the block, and makes it this task's: take that back. */
	__wasm_init_tls((void *)block);
	__set_tls_base(mine);
	frame = (struct clone_frame *)(block & ~15UL) - 1;
	frame->fn = fn;
	frame->arg = arg;
	t->alive = 1;
	t->pid = syscall5(__NR_clone, (long)(flags | CLONE_SETTLS), (long)frame, 0, (long)&t->alive, (long)block);
	if (t->pid < 0)
		munmap(t->stack);
	return t->pid;
}

void task_join(struct task *t)
{
	while (__atomic_load_n(&t->alive, __ATOMIC_SEQ_CST))
		futex_wait(&t->alive, 1);
	munmap(t->stack);
}

void futex_wait(u32 *word, u32 val) { syscall4(__NR_futex, (long)word, 0, (long)val, 0); }
void futex_wake(u32 *word, u32 nr) { syscall4(__NR_futex, (long)word, 1, (long)nr, 0); }

/* 0 free, 1 locked, 2 locked with somebody waiting. */
void mutex_lock(u32 *m)
{
	u32 c = 0;

	if (__atomic_compare_exchange_n(m, &c, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(m, 2, __ATOMIC_SEQ_CST))
		futex_wait(m, 2);
}

void mutex_unlock(u32 *m)
{
	if (__atomic_exchange_n(m, 0, __ATOMIC_SEQ_CST) == 2)
		futex_wake(m, 1);
}

int putbytes(int fd, const char *buf, size_t n)
{
	while (n) {
		long done = syscall3(__NR_write, fd, (long)buf, (long)n);

		if (done <= 0)
			return -1;
		buf += done;
		n -= (size_t)done;
	}
	return 0;
}

int dprintf(int fd, const char *fmt, ...)
{
	char buf[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return putbytes(fd, buf, (size_t)n);
}

void exit(int code)
{
	syscall1(__NR_exit_group, code);
	__wasm_abort();
}

long open(const char *path, int flags) { return syscall4(__NR_openat, -100, (long)path, flags, 0644); }
long read(int fd, void *buf, size_t n) { return syscall3(__NR_read, fd, (long)buf, (long)n); }
long close(int fd) { return syscall1(__NR_close, fd); }
long pipe(int *fds) { return syscall2(__NR_pipe2, (long)fds, 0); }
long dup2(int oldfd, int newfd) { return syscall3(__NR_dup3, oldfd, newfd, 0); }
long execve(const char *path, char *const *argv, char *const *envp)
{
	return syscall3(__NR_execve, (long)path, (long)argv, (long)envp);
}
long wait4_status(long pid, int *status, int options)
{
	return syscall4(__NR_wait4, pid, (long)status, options, 0);
}
long kill(long pid, int sig) { return syscall2(__NR_kill, pid, sig); }
long getpid(void) { return syscall0(__NR_getpid); }
long gettid(void) { return syscall0(__NR_gettid); }

void sleep_ms(u32 ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	syscall2(__NR_nanosleep, (long)&ts, 0);
}

u64 now_us(void)
{
	struct timespec ts;

	syscall2(__NR_clock_gettime, 1, (long)&ts);
	return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

void *mmap_anon(size_t len) { return (void *)syscall6(__NR_mmap, 0, (long)len, 3, 0x22, -1, 0); }
long munmap(void *p) { return syscall2(__NR_munmap, (long)p, 0); }

/* Never freed. The first page comes from brk, as in any C library: it is the far end of the main stack. */
void *malloc(size_t n)
{
	static ulong next, end;
	static u32 lock;
	void *p;

	mutex_lock(&lock);
	n = ALIGN(n, 16);
	if (end - next < n) {
		ulong brk = (ulong)syscall1(__NR_brk, 0);
		size_t want = ALIGN(n, PAGE_SIZE);

		if (!next && (ulong)syscall1(__NR_brk, (long)(brk + PAGE_SIZE)) != brk && n <= PAGE_SIZE) {
			next = brk;
			end = brk + PAGE_SIZE;
		} else {
			next = (ulong)mmap_anon(want);
			end = IS_ERR((void *)next) ? next : next + want;
		}
	}
	p = end - next < n ? NULL : (void *)next;
	if (p)
		next += n;
	mutex_unlock(&lock);
	return p;
}

long sigaction_simple(int sig, sighandler_t handler, u32 flags, u32 mask)
{
	struct sigaction_arg act = { (ulong)handler, flags, mask };

	return syscall4(__NR_rt_sigaction, sig, (long)&act, 0, sizeof(u32));
}
