//! Whole kernels: the demo guest and the bundled Linux.

use std::sync::OnceLock;
use std::time::Instant;

use wkdb_debugger::companion;

use crate::{Built, assert_says, gdb};

/// Linux, built once for all tests.
fn linux() -> &'static Built {
    static LINUX: OnceLock<Built> = OnceLock::new();
    LINUX.get_or_init(|| built("linux"))
}

fn built(name: &str) -> Built {
    let wasm = match name {
        "linux" => {
            let packed = std::fs::read("../src/demo/linux/vmlinux.wasm.zst").expect("it is there");
            zstd::decode_all(&*packed).expect("it is whole")
        }
        _ => std::fs::read(format!("../src/demo/{name}.wasm")).expect("it is there"),
    };
    Built::of(name, &wasm, |module, layout| {
        // Other tests run beside this one: `cargo bench --bench debugger` says how quick it is.
        let start = Instant::now();
        let companion = companion::build_kernel(module, layout).expect("it is a module");
        println!("{name}: {:?} for {} bytes of module", start.elapsed(), module.wasm.len());
        companion
    })
}

/// What compilers do that gdb complains of wherever it is: entries that moved by inlining, and functions that the
/// linker dropped.
fn is_usual(complaint: &str) -> bool {
    complaint.contains("have different parents") || complaint.contains("cannot get low and high bounds")
}

#[test]
fn gdb_reads_whole_kernels() {
    let Some(gdb) = gdb::gdb() else { return };
    let minik = ["minik-6.4", "minik-7.0"].map(built);
    for built in minik.iter().chain([linux()]) {
        let commands = ["maint expand-symtabs", "maint check-symtabs", "maint check-psymtabs"];
        let output = gdb::run_with_complaints(gdb, &built.file, &commands);
        let rest: Vec<&str> = output
            .lines()
            .filter(|line| !is_usual(line) && !line.starts_with("Undefined maintenance command"))
            .take(10)
            .collect();
        assert_eq!(rest, Vec::<&str>::new(), "{}", built.file.display());
    }
}

#[test]
fn gdb_loads_linux_and_knows_it() {
    let Some(gdb) = gdb::gdb() else { return };
    let built = linux();
    let start = Instant::now();
    gdb::run_with_complaints(gdb, &built.file, &["info line start_kernel"]);
    println!("gdb loads Linux in {:?}", start.elapsed());
    let output = gdb::run_with_complaints(
        gdb,
        &built.file,
        &[
            "break start_kernel",
            "info line schedule",
            "print &jiffies_64",
            "ptype struct list_head",
            "print &init_task.comm",
            "print sizeof(long)",
            "info address vprintk_emit",
            "info scope vprintk_emit",
        ],
    );
    assert_says(
        &output,
        &[
            "init/main.c, line 8",
            "struct list_head *next;",
            "<jiffies_64>",
            "char (*)[16]",
            "<init_task+",
            "= 4\n",
            "is a function at address 0xe0",
            "Symbol fmt is multi-location:",
            "DW_OP_call_frame_cfa",
        ],
    );
}

#[test]
fn gdb_finds_the_demo_guests_functions_variables_and_handlers() {
    let Some(gdb) = gdb::gdb() else { return };
    let built = built("minik-7.0");
    let output = gdb::run_with_complaints(
        gdb,
        &built.file,
        &[
            "break process_one_work",
            "info line start_kernel",
            "ptype struct task_struct",
            "print &jiffies_64",
            "print (void (*)(void)) 1",
            "info functions run_timer",
        ],
    );
    assert_says(
        &output,
        &["minik/kernel/workqueue.c, line", "starts at address 0xe000", "<jiffies_64>", "(void (*)(void)) 0x1 <"],
    );
}
