/* SPDX-License-Identifier: Apache-2.0 */
/* /bin/fbtest: a test picture on the frame buffer. */
#include "libc.h"

#define WIDTH 64
#define HEIGHT 16

/* BUG: a frame around the picture, its lower edge one line too low. */
static noinline void draw_frame(unsigned char *screen)
{
	for (int x = 0; x < WIDTH; x++) {
		screen[x] = 0xf0;
		screen[HEIGHT * WIDTH + x] = 0xf0;
	}
}

static noinline void draw_bars(unsigned char *screen)
{
	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 0; x < WIDTH; x++)
			screen[y * WIDTH + x] = (unsigned char)(x / 8 * 16);
	}
}

int main(int argc, char **argv, char **envp)
{
	long fd = open("/dev/fb0", 2);
	unsigned char *screen;

	(void)argc;
	(void)argv;
	(void)envp;
	if (fd < 0) {
		printf("fbtest: no frame buffer\n");
		return 1;
	}
	screen = (unsigned char *)syscall6(__NR_mmap, 0, WIDTH * HEIGHT, 3, 1, fd, 0);
	if (IS_ERR(screen))
		return 1;
	draw_bars(screen);
	draw_frame(screen);
	printf("fbtest: drawn\n");
	return 0;
}
