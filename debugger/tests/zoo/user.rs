use wkdb_tracer::WasmValue;

use super::fake::Fake;
use super::load;

const PIC: &[u8] = include_bytes!("../fixtures/symbols/workqueue-pic.wasm");

/// A user image has its data wherever its instance has its memory base.
#[test]
fn data_of_a_user_image_are_read_from_its_base() {
    let symbols = load(PIC);
    let (memory_base, _) = symbols.bases();
    let base = 0x5000;
    let mut fake = Fake::new(PIC);
    fake.globals = vec![WasmValue::I32(0); 8];
    fake.globals[memory_base.unwrap() as usize] = WasmValue::I32(base);
    let pools = symbols.data_symbol("worker_pools").unwrap().address as u32 + base;
    fake.put(pools + 16, &7_u32.to_le_bytes());
    assert_eq!(fake.print(&symbols, "worker_pools[1].id"), "7");
    let (at, middle) = (pools, pools + 16);
    assert_eq!(fake.print(&symbols, "&worker_pools"), format!("(struct worker_pool (*)[3]) {at:#x} <worker_pools>"));
    assert_eq!(
        fake.print(&symbols, "&worker_pools[1]"),
        format!("(struct worker_pool *) {middle:#x} <worker_pools+16>")
    );
    fake.globals.clear();
    assert_eq!(
        fake.print(&symbols, "worker_pools[1].id"),
        format!("error: worker_pools: there is no $global{}", memory_base.unwrap())
    );
}
