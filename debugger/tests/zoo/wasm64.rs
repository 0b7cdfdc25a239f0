use wkdb_debugger::expr::Evaluator;

use super::fake::Fake;
use super::{WASM64, load};

#[test]
fn pointers_of_wasm64_have_eight_bytes() {
    let symbols = load(WASM64);
    assert_eq!(symbols.address_size(), 8);
    let mut fake = Fake::new(WASM64);
    let at = symbols.data_symbol("workers").unwrap().address;
    for (text, printed) in [
        ("sizeof(void *)", "8".to_owned()),
        ("sizeof(long)", "8".into()),
        ("workers[0].works[0].cpu", "33".into()),
        ("workers[1].next->name", "\"kworker/0\"".into()),
        ("workers[1].next", format!("(const struct worker *) {at:#x} <workers>")),
        ("*workers[0].hidden", "{secret = 42, list = {next = 0x0, prev = 0x0}}".into()),
        ("handlers[1] == handle", "1".into()),
        ("matrix[1]", "{4, 5, 6}".into()),
        ("__per_cpu_offset[3]", "12288".into()),
        ("(void *)-1", "(void *) 0xffffffffffffffff".into()),
    ] {
        assert_eq!(fake.print(&symbols, text), printed, "{text}");
    }
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    assert_eq!(evaluator.whatis("&workers[1] - workers").unwrap(), "long");
    assert_eq!(symbols.problems(), [""; 0]);
}
