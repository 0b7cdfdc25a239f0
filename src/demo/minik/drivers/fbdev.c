/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/fb0: a frame buffer that programs draw into directly. */
#include "fs.h"
#include "kernel.h"
#include "planted.h"
#include "workqueue.h"

#define FB_WIDTH 64
#define FB_HEIGHT 16
#define FB_REFRESH HZ

struct fb_ops {
	void (*fb_refresh)(void);
};

/*
 * The pixels and what the kernel knows of them are one object. Without an MMU, who maps the pixels can write on.
 */
__used struct fb_info {
	u8 screen[FB_WIDTH * FB_HEIGHT];
	const struct fb_ops *fbops;
	u32 refreshes;
	u32 palette[16];
} fb_info;

/* fb_info.fbops, for a debugger to name. */
_Static_assert(offsetof(struct fb_info, fbops) == 1024, "fb_info_fbops names another field");
__asm__(".globl fb_info_fbops\n.type fb_info_fbops,@object\n.set fb_info_fbops, fb_info+1024\n"
	".size fb_info_fbops, 4\n");

static struct delayed_work refresh_work;

static void minikfb_refresh(void) { fb_info.refreshes++; }

static const struct fb_ops minikfb_ops = { .fb_refresh = minikfb_refresh };

static noinline void fb_refresh_work(struct work_struct *work)
{
	(void)work;
	set_worker_desc("fb_refresh");
	fb_info.fbops->fb_refresh();
	queue_delayed_work_on(0, system_wq, &refresh_work, FB_REFRESH);
}

static void *fb_mmap(struct file *file, size_t len)
{
	(void)file;
	return len <= sizeof(fb_info.screen) ? fb_info.screen : NULL;
}

static const struct file_operations fb_fops = { .mmap = fb_mmap };

void fbdev_init(void)
{
	fb_info.fbops = &minikfb_ops;
	mknod_dev("/dev/fb0", &fb_fops, NULL);
	INIT_DELAYED_WORK(&refresh_work, fb_refresh_work);
	queue_delayed_work_on(0, system_wq, &refresh_work, FB_REFRESH);
	pr_info("fb0: %dx%d\n", FB_WIDTH, FB_HEIGHT);
}
