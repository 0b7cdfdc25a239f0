/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal: a line discipline in canonical mode between the console's bytes and those who read lines. */
#include "fs.h"
#include "kernel.h"
#include "sched.h"
#include "syscall.h"

#define N_TTY_BUF_SIZE 1024
#define CTRL(c) ((c) & 0x1f)

struct tty_struct {
	raw_spinlock_t lock;
	wait_queue_head_t read_wait;
	pid_t pgrp; /* the foreground process group */
	/* Positions count bytes ever received: [tail, canon) can be read, [canon, head) is the line being typed. */
	u32 head, canon, tail;
	char buf[N_TTY_BUF_SIZE];
};

__used struct tty_struct console_tty = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED,
	.read_wait = __WAIT_QUEUE_HEAD_INITIALIZER(console_tty.read_wait),
};

static void echo(const char *s, u32 n) { hvc_console_write(s, n); }

static void erase_char(struct tty_struct *tty)
{
	if (tty->head == tty->canon)
		return;
	tty->head--;
	echo("\b \b", 3);
}

static void store_char(struct tty_struct *tty, char c)
{
	if (tty->head - tty->tail < N_TTY_BUF_SIZE)
		tty->buf[tty->head++ % N_TTY_BUF_SIZE] = c;
}

/* One byte of input; whether a line is complete. */
static noinline bool n_tty_receive_char(struct tty_struct *tty, char c)
{
	switch (c) {
	case CTRL('C'):
		echo("^C\n", 3);
		tty->head = tty->canon;
		kill_pgrp(tty->pgrp, SIGINT);
		return false;
	case CTRL('H'):
	case 0x7f:
		erase_char(tty);
		return false;
	case CTRL('U'):
		while (tty->head != tty->canon)
			erase_char(tty);
		return false;
	case CTRL('D'):
		store_char(tty, c);
		tty->canon = tty->head;
		return true;
	case '\r':
	case '\n':
		echo("\n", 1);
		store_char(tty, '\n');
		tty->canon = tty->head;
		return true;
	default:
		if ((u8)c >= ' ' || c == '\t') {
			store_char(tty, c);
			echo(&c, 1);
		}
		return false;
	}
}

/* Bytes from the console's driver. */
void tty_receive(const char *buf, u32 n)
{
	struct tty_struct *tty = &console_tty;
	bool line = false;

	raw_spin_lock(&tty->lock);
	for (u32 i = 0; i < n; i++)
		line |= n_tty_receive_char(tty, buf[i]);
	raw_spin_unlock(&tty->lock);
	if (line)
		wake_up(&tty->read_wait);
}

/* Copies at most one line; the end-of-file character ends it and is not part of it. */
static bool copy_line(struct tty_struct *tty, char *buf, size_t n, ssize_t *done)
{
	bool any;

	*done = 0;
	raw_spin_lock(&tty->lock);
	any = tty->tail != tty->canon;
	while ((size_t)*done < n && tty->tail != tty->canon) {
		char c = tty->buf[tty->tail++ % N_TTY_BUF_SIZE];

		if (c == CTRL('D'))
			break;
		buf[(*done)++] = c;
		if (c == '\n')
			break;
	}
	raw_spin_unlock(&tty->lock);
	return any;
}

static ssize_t tty_read(struct file *file, char *buf, size_t n)
{
	struct tty_struct *tty = file->f_inode->i_private;
	ssize_t done = 0;

	if (!n)
		return 0;
	if (wait_event_interruptible(tty->read_wait, copy_line(tty, buf, n, &done)))
		return -EINTR;
	return done;
}

static ssize_t tty_write(struct file *file, const char *buf, size_t n)
{
	(void)file;
	hvc_console_write(buf, n);
	return (ssize_t)n;
}

static long tty_ioctl(struct file *file, u32 cmd, ulong arg)
{
	struct tty_struct *tty = file->f_inode->i_private;

	switch (cmd) {
	case TIOCSPGRP:
		tty->pgrp = *(pid_t *)arg;
		return 0;
	case TIOCGPGRP:
		*(pid_t *)arg = tty->pgrp;
		return 0;
	default:
		return -ENOTTY;
	}
}

const struct file_operations tty_fops = { .read = tty_read, .write = tty_write, .ioctl = tty_ioctl };

void tty_init(void)
{
	mknod_dev("/dev/console", &tty_fops, &console_tty);
}
