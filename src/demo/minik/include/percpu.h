/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Per-CPU data: a template in the section `percpu`, one copy per CPU, and __per_cpu_offset[] with the distance from the
 * template to each copy. CPU 0 uses the template itself, so that a symbol names its data.
 */
#ifndef MINIK_PERCPU_H
#define MINIK_PERCPU_H
#include "types.h"

#define NR_CPUS 64
#define IRQ_CPU 1

extern ulong __per_cpu_offset[NR_CPUS];
extern u32 nr_cpu_ids;
extern volatile u64 __cpu_online_mask;

#define DECLARE_PER_CPU(type, name) extern __typeof__(type) name
#define DEFINE_PER_CPU(type, name) __section("percpu") __used __typeof__(type) name
#define per_cpu_ptr(p, cpu) ((__typeof__(*(p)) *)((ulong)(p) + __per_cpu_offset[cpu]))
#define per_cpu(var, cpu) (*per_cpu_ptr(&(var), cpu))
#define this_cpu_ptr(p) per_cpu_ptr(p, smp_processor_id())
#define this_cpu(var) per_cpu(var, smp_processor_id())

u32 smp_processor_id(void);
static inline bool cpu_online(u32 cpu) { return cpu < NR_CPUS && (__cpu_online_mask >> cpu & 1); }
#define for_each_online_cpu(cpu) for (cpu = 0; cpu < nr_cpu_ids; cpu++) if (!cpu_online(cpu)) {} else

#endif
