/* SPDX-License-Identifier: Apache-2.0 */
/* The boot, from the first instruction on CPU 0 to /init. */
#include "fs.h"
#include "kernel.h"
#include "rcu.h"
#include "sched.h"
#include "setup.h"
#include "vmstat.h"
#include "workqueue.h"

static struct completion kthreadd_done;

static void open_console(void)
{
	struct inode *inode = path_lookup("/dev/console");

	for (int i = 0; i < 3; i++) {
		struct file *file = alloc_file(inode, inode->i_fop, O_RDWR);
		int fd = get_unused_fd();

		if (!file || fd < 0)
			panic("cannot open the console");
		fd_install((u32)fd, file);
	}
}

static noinline void run_init_process(void)
{
	char path[64] = "/init";
	char *argv[] = { path, NULL };
	char *envp[] = { "HOME=/", "TERM=linux", NULL };
	int ret;

	cmdline_option("init", path, sizeof(path));
	pr_info("Run %s as init process\n", path);
	ret = do_execve(path, argv, envp);
	if (ret)
		panic("No working init found: %s gives error %d", path, ret);
}

/* Brings up the interrupt CPU; the others follow when a user task needs them. */
static void smp_init(void)
{
	if (nr_cpu_ids > 1 && cpu_up(IRQ_CPU))
		panic("CPU1 does not come up");
	pr_info("smp: %u of %u CPUs up\n", nr_cpu_ids > 1 ? 2u : 1u, nr_cpu_ids);
}

static int kernel_init(void *unused)
{
	(void)unused;
	wait_for_completion(&kthreadd_done);
	rcu_spawn_gp_kthread();
	workqueue_init();
	smp_init();
	hvc_init();
	/* That bug is for a machine that goes quiet: nothing with a timer of its own may be left. */
	if (!bug_planted("deadlock-sleep")) {
		khungtaskd_init();
		vmstat_init();
	}
	ramfs_init();
	populate_rootfs();
	tty_init();
	proc_init();
	drivers_init();
	open_console();
	run_init_process();
	/* Back through ret_from_fork into the program. */
	return 0;
}

static void rest_init(void)
{
	struct task_struct *init = kernel_thread(kernel_init, NULL, "swapper/0", 0);

	if (IS_ERR(init))
		panic("no memory for init");
	init_completion(&kthreadd_done);
	wake_up_new_task(init);
	kthreadd_task = kernel_thread(kthreadd, NULL, "kthreadd", 0);
	if (IS_ERR(kthreadd_task))
		panic("no memory for kthreadd");
	wake_up_new_task(kthreadd_task);
	complete(&kthreadd_done);
	schedule();
	cpu_idle_loop();
}

void start_kernel(void)
{
	time_init();
	console_quiet = cmdline_flag("quiet");
	pr_info("Linux version %u.%u.0-minik (wasm32) #1 SMP\n", ERA / 10, ERA % 10);
	pr_info("Kernel command line: %s\n", boot_command_line);
	fork_init();
	setup_arch();
	sched_init();
	timers_init();
	rcu_init();
	workqueue_init_early();
	random_init();
	rest_init();
}
