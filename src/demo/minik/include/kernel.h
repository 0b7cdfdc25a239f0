/* SPDX-License-Identifier: Apache-2.0 */
/* Printing, panics, strings, memory, the command line. */
#ifndef MINIK_KERNEL_H
#define MINIK_KERNEL_H
#include "types.h"

struct seq_file;

int printk(const char *fmt, ...) __printf(1, 2);
#define pr_info(...) printk(__VA_ARGS__)
u32 log_read(u32 pos, char *buf, u32 size);
extern u32 log_end;
extern bool console_quiet;
void __noreturn panic(const char *fmt, ...) __printf(1, 2);
void dump_stack(void);
extern u32 oops_in_progress;
void __noreturn bug_at(const char *file, int line, const char *what);
#define BUG_ON(c) do { if (unlikely(c)) bug_at(__FILE__, __LINE__, #c); } while (0)

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
void *memmove(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
size_t strscpy(char *d, const char *s, size_t size);
long simple_strtol(const char *s, const char **end);

/* mm/ */
extern ulong memory_start, memory_kernel_break, memory_end;
void mm_init(void);
void *alloc_pages(u32 order);
void free_pages(void *p, u32 order);
void *kmalloc(size_t size);
void *kzalloc(size_t size);
void kfree(const void *p);
u32 nr_free_pages(void);
u32 nr_total_pages(void);
u32 get_order(size_t size);

/* init/ */
extern char boot_command_line[512];
extern ulong initrd_start, initrd_end;
/* The value of NAME=VALUE on the command line, copied; false when the option is absent. */
bool cmdline_option(const char *name, char *value, size_t size);
long cmdline_int(const char *name, long otherwise);
bool cmdline_flag(const char *name);
/* Whether bug=NAME is on the command line. */
bool bug_planted(const char *name);
void populate_rootfs(void);

/* drivers/ */
void hvc_console_write(const char *buf, u32 len);
void hvc_init(void);
void hvc_flush_on_panic(void);
void tty_receive(const char *buf, u32 n);
u32 get_random_u32(void);
long get_random_bytes(void *buf, u32 count);
void random_init(void);
void drivers_init(void);
void khungtaskd_init(void);

#endif
