//! Addresses of the layout are found again by what they are of.

use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};

use super::super::layout::Region::{Code, Frames, Globals, Host, Memory, Nothing};
use super::super::layout::{FrameStack, Layout, OPERAND_SLOTS, Slot, WordSize};

const WORDS: [WordSize; 2] = [WordSize::Four, WordSize::Eight];

#[test]
fn every_part_of_a_frame_is_found_again_by_its_address() {
    for word in WORDS {
        let locals = [3, 0, 250, 7];
        let stack = FrameStack::new(word, 5, &locals);
        assert_eq!(stack.len(), locals.len());
        let mut taken = std::collections::BTreeMap::new();
        for (depth, &count) in locals.iter().enumerate() {
            let words = [Slot::ReturnPc, Slot::CallerCfa, Slot::CallerStackPointer];
            let slots = words.into_iter().chain((0..count).map(Slot::Local));
            for slot in slots.chain((0..OPERAND_SLOTS as u32).map(Slot::Operand)) {
                let start = stack.address(depth, slot).expect("in the region");
                for byte in 0..slot.bytes(word) {
                    assert_eq!(stack.place(start + byte), Some((depth, slot, byte)), "{word:?}");
                    assert_eq!(taken.insert(start + byte, (depth, slot)), None, "two parts of frames overlap");
                }
            }
        }
        assert!(stack.place(*taken.keys().next().expect("some") - 1).is_none());
        assert!(stack.place(*taken.keys().next_back().expect("some") + 1).is_none());
    }
}

#[test]
fn a_frame_keeps_its_cfa_when_it_calls_and_when_its_callee_returns() {
    for word in WORDS {
        let outer = FrameStack::new(word, 1, &[4, 9]);
        let inner = FrameStack::new(word, 1, &[30, 4, 9]);
        assert_eq!(inner.cfa(1), outer.cfa(0));
        assert_eq!(inner.cfa(2), outer.cfa(1));
        assert!(inner.cfa(0) < inner.cfa(1) && inner.cfa(1) < inner.cfa(2) && inner.cfa(2) < Some(inner.host_cfa()));
        assert!((0..3).all(|depth| inner.cfa(depth).is_some_and(|cfa| cfa % 16 == 0)));
    }
}

#[test]
fn a_stack_too_deep_for_the_region_loses_its_innermost_frames() {
    let locals = vec![u32::MAX; 2];
    for word in WORDS {
        let stack = FrameStack::new(word, 895, &locals);
        assert!(stack.len() < locals.len());
        let deep = FrameStack::new(word, 0, &vec![10_000; 5000]);
        assert!(!deep.is_empty() && deep.len() < 5000);
        assert_eq!(deep.cfa(deep.len() - 1), FrameStack::new(word, 0, &[10_000]).cfa(0), "the outermost has its place");
    }
}

#[test]
fn an_address_says_what_it_is() {
    for word in WORDS {
        let mut layout = Layout::new(word);
        let kernel = layout.add_module(5_000_000).expect("room");
        let user = layout.add_module(100).expect("room");
        for module in [kernel, user] {
            for offset in [0, 1, 99] {
                let address = CodeAddress { module, offset: CodeOffset(offset) };
                let there = layout.code_address(address).expect("in the code");
                assert_eq!(layout.region(there), Code(address));
            }
            for global in [0, 1, 8191] {
                let there = layout.global_address(module, global).expect("shown");
                assert_eq!(layout.region(there + 3), Globals { module, global, byte: 3 });
            }
        }
        assert_eq!(layout.global_address(user, 8192), None);
        let end = layout.code_base(user).expect("placed") + 100;
        assert_eq!(layout.region(end), Nothing);
        assert_eq!(layout.region(0), Memory);
        assert_eq!(layout.region(layout.memory_end() - 1), Memory);
        assert_eq!(layout.region(layout.host_return()), Host(8));
        let stack = FrameStack::new(word, 3, &[1, 2]);
        assert_eq!(layout.region(stack.cfa(0).expect("one")), Frames);
        let last = FrameStack::new(word, 895, &[1; 20]);
        assert_eq!(layout.region(last.address(0, Slot::Local(0)).expect("there")), Frames);
    }
}

#[test]
fn a_module_without_room_is_refused_and_keeps_its_id() {
    let mut layout = Layout::new(WordSize::Four);
    let kernel = layout.add_module(0x100_0000).expect("room");
    let error = layout.add_module(0xf00_0000).expect_err("more than there is");
    assert_eq!(error.module, ModuleId(1));
    assert_eq!(layout.code_base(ModuleId(1)), None);
    let small = layout.add_module(0x1000).expect("room");
    assert_eq!(small, ModuleId(2));
    let at = layout.code_base(small).expect("placed");
    assert_eq!(layout.code_at(at), Some(CodeAddress { module: small, offset: CodeOffset(0) }));
    assert_eq!(layout.code_at(layout.code_base(kernel).expect("placed") + 0xff_ffff).map(|a| a.module), Some(kernel));
}
