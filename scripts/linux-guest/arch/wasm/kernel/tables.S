# SPDX-License-Identifier: GPL-2.0
# The work of other machines' linker script: where the kernel's tables begin and end.
#
# wasm-ld joins sections of one name in the order of the objects, and places the joined ones in the order in which it first
# sees their names. This object is the first to be linked, so it decides the order, and what it defines in a section is at
# its very beginning. A table's end is a section of its own, without an alignment that could move it away.

	.macro	mark section, symbol
	.section	\section,"",@
	.globl	\symbol
	.type	\symbol,@object
\symbol:
	.size	\symbol, 0
	.endm

	.macro	table section, start, end
	mark	\section, \start
	mark	\section\().end, \end
	.endm

	mark	.initcallearly.init, __initcall_start
	mark	.initcall0.init, __initcall0_start
	.section	.initcall0s.init,"",@
	mark	.initcall1.init, __initcall1_start
	.section	.initcall1s.init,"",@
	mark	.initcall2.init, __initcall2_start
	.section	.initcall2s.init,"",@
	mark	.initcall3.init, __initcall3_start
	.section	.initcall3s.init,"",@
	mark	.initcall4.init, __initcall4_start
	.section	.initcall4s.init,"",@
	mark	.initcall5.init, __initcall5_start
	.section	.initcall5s.init,"",@
	.section	.initcallrootfs.init,"",@
	mark	.initcall6.init, __initcall6_start
	.section	.initcall6s.init,"",@
	mark	.initcall7.init, __initcall7_start
	.section	.initcall7s.init,"",@
	mark	.initcall.end, __initcall_end

	table	.con_initcall.init, __con_initcall_start, __con_initcall_end
	table	.init.setup, __setup_start, __setup_end
	table	__param, __start___param, __stop___param
	table	__modver, __start___modver, __stop___modver
	table	__ex_table, __start___ex_table, __stop___ex_table
	table	.note.Linux, __start_notes, __stop_notes
	table	.once, __start_once, __end_once
	table	.kunit_test_suites, __kunit_suites_start, __kunit_suites_end
	table	.kunit_init_test_suites, __kunit_init_suites_start, __kunit_init_suites_end

# Highest class first: see for_each_class().
	mark	__stop_sched_class, __sched_class_highest
	.section	__dl_sched_class,"",@
	.section	__rt_sched_class,"",@
	.section	__fair_sched_class,"",@
	.section	__idle_sched_class,"",@
	mark	__sched_class.end, __sched_class_lowest

# The per-CPU template.
	.section	percpu..first,"",@
	.p2align	12
	.globl	__per_cpu_start
	.type	__per_cpu_start,@object
__per_cpu_start:
	.size	__per_cpu_start, 0
	.globl	__per_cpu_load
	.type	__per_cpu_load,@object
__per_cpu_load:
	.size	__per_cpu_load, 0
	.section	percpu..page_aligned,"",@
	.section	percpu..read_mostly,"",@
	.section	percpu,"",@
	.section	percpu..shared_aligned,"",@
	mark	percpu.end, __per_cpu_end

# Ranges of code and data that have no meaning here: all empty. Code is not in memory.
	.macro	empty symbol
	.globl	\symbol
	.type	\symbol,@object
\symbol:
	.size	\symbol, 0
	.endm
	.section	.empty,"",@
	empty	_text
	empty	_stext
	empty	_etext
	empty	_sinittext
	empty	_einittext
	empty	__init_begin
	empty	__init_end
	empty	_sdata
	empty	_edata
	empty	_end
	empty	__bss_start
	empty	__bss_stop
	empty	__start_rodata
	empty	__end_rodata
	empty	__start_ro_after_init
	empty	__end_ro_after_init
	empty	__sched_text_start
	empty	__sched_text_end
	empty	__lock_text_start
	empty	__lock_text_end
	empty	__cpuidle_text_start
	empty	__cpuidle_text_end
	empty	__kprobes_text_start
	empty	__kprobes_text_end
	empty	__entry_text_start
	empty	__entry_text_end
	empty	__irqentry_text_start
	empty	__irqentry_text_end
	empty	__softirqentry_text_start
	empty	__softirqentry_text_end
	empty	__noinstr_text_start
	empty	__noinstr_text_end
	empty	__nosave_begin
	empty	__nosave_end
	empty	__reservedmem_of_table
	.int8	0
