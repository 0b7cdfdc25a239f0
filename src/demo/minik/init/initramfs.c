/* SPDX-License-Identifier: Apache-2.0 */
/* The initramfs: a cpio archive in the "newc" format, unpacked into the root file system. */
#include "fs.h"
#include "kernel.h"

#define CPIO_HEADER 110
#define CPIO_FIELD(p, i) hex8((p) + 6 + 8 * (i))
#define CPIO_MODE 1
#define CPIO_FILESIZE 6
#define CPIO_NAMESIZE 11

static u32 hex8(const char *s)
{
	u32 v = 0;

	for (int i = 0; i < 8; i++) {
		char c = s[i];

		v = v << 4 | (u32)(c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static void unpack_entry(const char *name, u32 mode, char *data, u32 size)
{
	u32 type = mode & S_IFMT;
	struct inode *inode = path_lookup(name);

	if (type != S_IFDIR && type != S_IFREG)
		return;
	if (!inode)
		inode = path_create(name, mode);
	if (!inode) {
		pr_info("initramfs: cannot create %s\n", name);
		return;
	}
	if (type == S_IFREG) {
		inode->i_data = data;
		inode->i_size = size;
	}
}

void populate_rootfs(void)
{
	char *p = (char *)initrd_start, *end = (char *)initrd_end;
	u32 entries = 0;

	while (end - p >= CPIO_HEADER) {
		u32 size, namesize;
		char *name, *data;

		if (strncmp(p, "070701", 6))
			panic("initramfs: not a newc archive at offset %lu", (ulong)(p - (char *)initrd_start));
		size = CPIO_FIELD(p, CPIO_FILESIZE);
		namesize = CPIO_FIELD(p, CPIO_NAMESIZE);
		name = p + CPIO_HEADER;
		data = (char *)initrd_start + ALIGN((ulong)(name + namesize - (char *)initrd_start), 4);
		if (data < p || data > end || size > (u32)(end - data))
			panic("initramfs: truncated at offset %lu", (ulong)(p - (char *)initrd_start));
		if (!strcmp(name, "TRAILER!!!"))
			break;
		unpack_entry(name, CPIO_FIELD(p, CPIO_MODE), data, size);
		entries++;
		p = (char *)initrd_start + ALIGN((ulong)(data + size - (char *)initrd_start), 4);
	}
	pr_info("initramfs: %u entries\n", entries);
}
