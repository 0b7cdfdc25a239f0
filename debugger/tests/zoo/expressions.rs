use wkdb_debugger::expr::{Evaluator, ExprError};
use wkdb_debugger::symbols::Slot;
use wkdb_tracer::{CodeOffset, WasmValue};

use super::fake::{FRAME, Fake};
use super::{ALL, O2, STRIPPED, function, load};

#[test]
fn c_is_computed_as_c_computes() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    for (text, printed) in [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("-7 / 2", "-3"),
        ("-7 % 4", "-3"),
        ("0xffffffff + 1", "0"),
        ("0xffffffffu + 1", "0"),
        ("4294967295 + 1", "4294967296"),
        ("0xffffffff == -1", "1"),
        ("2147483647 + 1", "-2147483648"),
        ("2147483648 + 1", "2147483649"),
        ("4294967296 + 1", "4294967297"),
        ("1 << 31", "-2147483648"),
        ("1ull << 40", "1099511627776"),
        ("-1 >> 1", "-1"),
        ("-1 > 0u", "1"),
        ("-1 < 0", "1"),
        ("~0", "-1"),
        ("!5 || 0", "0"),
        ("1 && 2", "1"),
        ("5 > 3 ? 10 : 1 / 0", "10"),
        ("0 && 1 / 0", "0"),
        ("7 & 3 ^ 8 | 16", "27"),
        ("'a' + 1", "98"),
        ("'\\n'", "10 '\\n'"),
        ("'\\x41'", "65 'A'"),
        ("(unsigned char)300", "44 ','"),
        ("(signed char)200", "-56 '\\310'"),
        ("(_Bool)7", "true"),
        ("1.5 * 2 + 1", "4"),
        ("1 / 2.0", "0.5"),
        ("(int)3.99", "3"),
        ("\"ab\" \"c\"", "\"abc\""),
        ("sizeof(int)", "4"),
        ("sizeof(long)", "4"),
        ("sizeof(long long[3])", "24"),
        ("sizeof workers[0].name", "16"),
        ("sizeof(struct worker)", "96"),
        ("sizeof(typeof(counter))", "8"),
        ("1, 2", "2"),
        ("1 / 0", "error: division by zero"),
        ("5 % 0", "error: division by zero"),
    ] {
        assert_eq!(fake.print(&symbols, text), printed, "{text}");
    }
}

#[test]
fn members_arrays_and_pointers_are_followed() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        for (text, printed) in [
            ("workers[0].works[0].cpu", "33"),
            ("workers->works->bytes[2]", "3 '\\003'"),
            ("workers[1].next->state == BUSY", "1"),
            ("*(workers + 1)->next->name", "107 'k'"),
            ("&workers[1] - workers", "1"),
            ("(long)&workers[1] - (long)workers == sizeof(struct worker)", "1"),
            ("((struct work *)workers[0].works[0].entry.next)->pending", "1"),
            ("matrix[1][2]", "6"),
            ("*(*(matrix + 1) + 2)", "6"),
            ("matrix[0][0..2]", "{1, 2}"),
            ("matrix[1][0]@3", "{4, 5, 6}"),
            ("many[11..13]", "{7, 1}"),
            ("container_of(&workers[1].state, struct worker, state) == &workers[1]", "1"),
            ("container_of(workers[0].works[0].entry.prev, struct work, entry) == &workers[0].works[1]", "1"),
            ("offsetof(struct worker, works[1].bytes)", "60"),
            ("handlers[1] == handle", "1"),
            ("handlers[1] == &handle", "1"),
            ("the_hidden.secret", "42"),
            ("F_C | F_A", "9"),
            ("shared_name", "1"),
            ("'other.c'::shared_name", "2"),
            ("'zoo.c'::shared_name", "1"),
            ("handle::nr_calls", "0"),
            ("never_changed", "77"),
            ("*&counter == counter", "1"),
        ] {
            assert_eq!(fake.print(&symbols, text), printed, "{text}");
        }
    }
}

#[test]
fn watches_learn_the_address_and_length_of_an_expression() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    let workers = symbols.data_symbol("workers").unwrap().address;
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    let mut lvalue = |text: &str| {
        let value = evaluator.evaluate(text)?;
        evaluator.lvalue(&value)
    };
    assert_eq!(lvalue("workers[1].next->state"), Ok((workers + 16, 4)));
    assert_eq!(lvalue("workers[0].works"), Ok((workers + 24, 48)));
    assert_eq!(lvalue("*(char (*)[6])0x40"), Ok((0x40, 6)));
    assert_eq!(lvalue("*(short *)0x40"), Ok((0x40, 2)));
    // A bit-field is watched with the bytes that it shares.
    let (address, len) = lvalue("workers[0].works[0].cpu").unwrap();
    assert_eq!((address, len), (workers + 24 + 16, 1));
    assert_eq!(lvalue("1 + 1").unwrap_err().to_string(), "it is a value, not a place in memory");
}

#[test]
fn per_cpu_variables_are_where_their_cpu_has_them() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    let counter = symbols.data_symbol("counter").unwrap().address as u32;
    fake.put(counter + 0x3000, &77_u64.to_le_bytes());
    fake.put(counter + 0x2000, &66_u64.to_le_bytes());
    assert_eq!(fake.print(&symbols, "per_cpu(counter, 3)"), "77");
    assert_eq!(fake.print(&symbols, "*per_cpu_ptr(&counter, 3)"), "77");
    // $cpu is 2.
    assert_eq!(fake.print(&symbols, "per_cpu(counter, $cpu)"), "66");
    assert_eq!(fake.print(&symbols, "*this_cpu_ptr(&counter)"), "66");
    assert_eq!(fake.print(&symbols, "per_cpu(counter, 4)"), "error: there is no CPU 4");
    assert_eq!(fake.print(&symbols, "per_cpu(5, 0)"), "error: it is a value, not a place in memory");
}

#[test]
fn what_is_assigned_is_in_memory_and_nothing_else_is_touched() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    let before = fake.memory.clone();
    assert_eq!(fake.print(&symbols, "workers[0].works[0].cpu = 62"), "62");
    assert_eq!(fake.print(&symbols, "workers[0].works[0].pending"), "1");
    assert_eq!(fake.print(&symbols, "workers[0].works[0].delta"), "-3");
    let changed: Vec<usize> = (0..before.len()).filter(|&at| before[at] != fake.memory[at]).collect();
    assert_eq!(changed.len(), 1, "the byte of the bit-field");
    assert_eq!(fake.print(&symbols, "workers[0].works[0].delta = -16"), "-16");
    assert_eq!(fake.print(&symbols, "workers[0].works[0].cpu"), "62");
    assert_eq!(fake.print(&symbols, "matrix[0][1] += 10"), "12");
    assert_eq!(fake.print(&symbols, "workers[0].load = 3"), "3");
    assert_eq!(fake.print(&symbols, "workers[0].load / 2"), "1.5");
    assert_eq!(fake.print(&symbols, "workers[0].state = IDLE"), "IDLE");
    assert_eq!(fake.print(&symbols, "handlers[0] = handle, handlers[0] == handlers[1]"), "1");
    assert_eq!(fake.print(&symbols, "matrix[1] = matrix[0], matrix[1][1]"), "12");
    assert_eq!(fake.print(&symbols, "counter = workers[0]"), "error: a struct worker is no number");
    assert_eq!(fake.print(&symbols, "1 = 2"), "error: only a variable or what a pointer points to can be changed");
    assert_eq!(fake.print(&symbols, "*(int *)0x7fffffff = 2"), "error: no memory at 0x7fffffff");
}

#[test]
fn the_state_of_wasm_has_names() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2).at(CodeOffset(function(&symbols, "sum").start.0 + 3), &[]);
    fake.locals = vec![WasmValue::I32(7), WasmValue::I64(u64::MAX), WasmValue::F32(1.5_f32.to_bits())];
    fake.operands = vec![WasmValue::F64(2.25_f64.to_bits())];
    for (text, printed) in [
        ("$local0 + 1", "8".to_owned()),
        ("$local1", "-1".into()),
        ("$local2", "1.5".into()),
        ("$op0 * 2", "4.5".into()),
        ("$global0", FRAME.to_string()),
        ("$__stack_pointer == $global0", "1".into()),
        ("$cpu", "2".into()),
        ("$pc", (function(&symbols, "sum").start.0 + 3).to_string()),
        ("$sp", format!("(void *) {FRAME:#x}")),
        ("&$local0", "error: it is in $local0, not in memory".into()),
        ("$local9", "error: there is no $local9".into()),
    ] {
        assert_eq!(fake.print(&symbols, text), printed, "{text}");
    }
    assert_eq!(fake.print(&symbols, "$local0 = -1"), "-1");
    assert_eq!(fake.set, [(Slot::Local(0), WasmValue::I32(u32::MAX))]);
    assert!(fake.print(&symbols, "$nothing").contains("$task"));
}

#[test]
fn errors_say_what_would_have_been_right() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    for (text, message) in [
        ("worker", "no variable, function or enumerator is called worker; did you mean workers?"),
        ("countre", "no variable, function or enumerator is called countre; did you mean counter?"),
        ("workers[0].nam", "struct worker has no member called nam; did you mean name?"),
        ("(struct worke *)0", "no type is called struct worke; did you mean struct work, struct worker?"),
        ("1 +", "something is missing at column 4"),
        ("(1", ") is missing at column 3"),
        ("1 2", "the expression should end at column 3"),
        ("workers[0", "] is missing at column 10"),
        ("1 # 2", "no expression has '#' in it at column 3"),
        ("\"abc", "a closing \" is missing for the one at column 1"),
        ("0x", "0x is no number of 64 bits at column 1"),
        ("12ab", "12ab is no number at column 1"),
        ("*(void *)8", "a void pointer points to nothing that has a type: cast it"),
        ("counter.x", "a u64 has no members"),
        ("counter[0]", "a u64 has no elements"),
        ("workers[0] + 1", "a struct worker is no number"),
        ("*(int *)0x7fffffff", "<error: no memory at 0x7fffffff>"),
        ("&workers[0].works[0].cpu", "a bit-field has no address"),
        ("many[0..0]", "an array has at least one element"),
        ("many[0]@100000000", "the array is too large to be worked out"),
        ("handle(1)", "functions of the guest cannot be called, as handle"),
        ("&run", "run is not in the function table, so no pointer can point to it"),
        ("'file.c'::nothing", "no variable, function or enumerator is called file.c::nothing"),
    ] {
        let printed = fake.print(&symbols, text);
        let printed = printed.strip_prefix("error: ").unwrap_or(&printed);
        assert!(printed.starts_with(message), "{text}: {printed}");
    }
}

#[test]
fn without_debug_information_a_name_has_to_be_cast() {
    let symbols = load(STRIPPED);
    let mut fake = Fake::new(STRIPPED);
    assert_eq!(fake.print(&symbols, "*(char *)&workers"), "107 'k'");
    assert_eq!(fake.print(&symbols, "(char)workers"), "107 'k'");
    let error = fake.evaluate(&symbols, "workers + 1").unwrap_err();
    assert!(matches!(error, ExprError::Type(_)), "{error}");
    assert!(error.to_string().contains("cast it"));
    assert!(fake.print(&symbols, "handle").contains("<handle>"));
    let place = fake.print(&symbols, "(long)handle");
    let symbol = fake.print(&symbols, &format!("(int (*)(void *, long)){place}"));
    assert_eq!(symbol, format!("(int (*)(void *, long)) {:#x} <handle>", place.parse::<u32>().unwrap()));
}
