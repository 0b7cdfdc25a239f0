/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes. */
#include "fs.h"
#include "kernel.h"
#include "syscalls.h"

#define PIPE_BUF 1024

struct pipe_inode_info {
	struct mutex mutex;
	wait_queue_head_t rd_wait, wr_wait;
	u32 head, tail; /* bytes ever written and read */
	u32 readers, writers;
	char buf[PIPE_BUF];
};

static ssize_t pipe_read(struct file *file, char *buf, size_t n)
{
	struct pipe_inode_info *pipe = file->private_data;
	ssize_t done = 0;

	if (!n)
		return 0;
	for (;;) {
		mutex_lock(&pipe->mutex);
		while ((size_t)done < n && pipe->tail != pipe->head)
			buf[done++] = pipe->buf[pipe->tail++ % PIPE_BUF];
		mutex_unlock(&pipe->mutex);
		if (done) {
			wake_up_all(&pipe->wr_wait);
			return done;
		}
		if (!READ_ONCE(pipe->writers))
			return 0;
		if (wait_event_interruptible(pipe->rd_wait, READ_ONCE(pipe->head) != READ_ONCE(pipe->tail) ||
								    !READ_ONCE(pipe->writers)))
			return -EINTR;
	}
}

static ssize_t pipe_write(struct file *file, const char *buf, size_t n)
{
	struct pipe_inode_info *pipe = file->private_data;
	size_t done = 0;

	while (done < n) {
		if (!READ_ONCE(pipe->readers)) {
			send_sig(SIGPIPE, current);
			return -EPIPE;
		}
		mutex_lock(&pipe->mutex);
		while (done < n && pipe->head - pipe->tail < PIPE_BUF)
			pipe->buf[pipe->head++ % PIPE_BUF] = buf[done++];
		mutex_unlock(&pipe->mutex);
		wake_up_all(&pipe->rd_wait);
		if (done < n &&
		    wait_event_interruptible(pipe->wr_wait, READ_ONCE(pipe->head) - READ_ONCE(pipe->tail) < PIPE_BUF ||
								    !READ_ONCE(pipe->readers)))
			return done ? (ssize_t)done : -EINTR;
	}
	return (ssize_t)done;
}

static void pipe_drop(struct pipe_inode_info *pipe, u32 *side)
{
	bool last;

	mutex_lock(&pipe->mutex);
	--*side;
	last = !pipe->readers && !pipe->writers;
	mutex_unlock(&pipe->mutex);
	if (last) {
		kfree(pipe);
		return;
	}
	wake_up_all(&pipe->rd_wait);
	wake_up_all(&pipe->wr_wait);
}

static void pipe_release_read(struct file *file)
{
	struct pipe_inode_info *pipe = file->private_data;

	pipe_drop(pipe, &pipe->readers);
}

static void pipe_release_write(struct file *file)
{
	struct pipe_inode_info *pipe = file->private_data;

	pipe_drop(pipe, &pipe->writers);
}

static const struct file_operations pipe_read_fops = { .read = pipe_read, .release = pipe_release_read };
static const struct file_operations pipe_write_fops = { .write = pipe_write, .release = pipe_release_write };

static struct pipe_inode_info *alloc_pipe_info(void)
{
	struct pipe_inode_info *pipe = kzalloc(sizeof(*pipe));

	if (pipe) {
		raw_spin_lock_init(&pipe->mutex.wait_lock);
		init_waitqueue_head(&pipe->mutex.wait);
		init_waitqueue_head(&pipe->rd_wait);
		init_waitqueue_head(&pipe->wr_wait);
		pipe->readers = 1;
		pipe->writers = 1;
	}
	return pipe;
}

long sys_pipe2(int *fds, u32 flags)
{
	struct pipe_inode_info *pipe = alloc_pipe_info();
	struct file *r, *w;
	int rfd, wfd;

	(void)flags;
	if (!pipe)
		return -ENOMEM;
	r = alloc_file(NULL, &pipe_read_fops, 0);
	w = alloc_file(NULL, &pipe_write_fops, O_WRONLY);
	if (!r || !w) {
		kfree(r);
		kfree(w);
		kfree(pipe);
		return -ENOMEM;
	}
	r->private_data = pipe;
	w->private_data = pipe;
	rfd = get_unused_fd();
	if (rfd < 0) {
		fput(r);
		fput(w);
		return rfd;
	}
	fd_install((u32)rfd, r);
	wfd = get_unused_fd();
	if (wfd < 0) {
		sys_close((u32)rfd);
		fput(w);
		return wfd;
	}
	fd_install((u32)wfd, w);
	fds[0] = rfd;
	fds[1] = wfd;
	return 0;
}
