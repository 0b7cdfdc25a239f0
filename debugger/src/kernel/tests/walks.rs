//! Walks along lists and trees, as they should be and as they should not.

use super::super::Kernel;
use super::fake::{Fake, linux, minik};

/// What a walk of a list from 0x1000 finds, and what is said of it.
fn list(change: impl FnOnce(&mut Fake)) -> (Vec<u64>, Vec<String>) {
    let mut fake = Fake::zeros();
    fake.write_list(&[0x1000, 0x2000, 0x3000, 0x4000]);
    change(&mut fake);
    let kernel = Kernel::new(&mut fake, minik());
    let found = kernel.list(0x1000, "the list");
    (found, kernel.take_problems())
}

#[test]
fn a_list_is_walked_once_around() {
    assert_eq!(list(|_| {}), (vec![0x2000, 0x3000, 0x4000], vec![]));
    let (found, problems) = list(|fake| {
        fake.write_list(&[0x1000]);
    });
    assert_eq!((found, problems), (vec![], vec![]), "an empty one");
    let (found, problems) = list(|fake| {
        fake.write(0x1000, 0).write(0x1004, 0);
    });
    assert_eq!((found, problems), (vec![], vec![]), "one that was never made");
}

#[test]
fn a_broken_list_is_told_with_where_it_breaks_and_what_came_before() {
    type Change = fn(&mut Fake);
    let cases: [(Change, usize, &str); 7] = [
        (
            |fake| {
                fake.write(0x3000, 0x2000);
            },
            2,
            "but the prev of that is 0x1000",
        ),
        (
            |fake| {
                fake.write(0x3000, 0xffff_ffff);
            },
            2,
            "which is no list entry",
        ),
        (
            |fake| {
                fake.write(0x3000, 0);
            },
            2,
            "which is no list entry",
        ),
        (
            |fake| {
                fake.write(0x3000, 0x4001);
            },
            2,
            "which is no list entry",
        ),
        (
            |fake| {
                fake.write(0x3000, 0x80_0000);
            },
            2,
            "where there is no memory",
        ),
        (
            |fake| {
                fake.write(0x3004, 0x4000);
            },
            1,
            "but the prev of that is 0x4000",
        ),
        (
            |fake| {
                fake.write(0x1004, 0x2000);
            },
            3,
            "the last entry is 0x4000, but the head's prev is 0x2000",
        ),
    ];
    for (change, found, said) in cases {
        let (entries, problems) = list(change);
        assert_eq!(entries, [0x2000, 0x3000, 0x4000][..found], "{said}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("the list") && problems[0].contains(said), "{problems:?}");
    }
}

#[test]
fn a_ring_that_does_not_come_back_to_its_head_ends() {
    // Entries that point to each other consistently, and leave the head out.
    let (found, problems) = list(|fake| {
        fake.write_list(&[0x2000, 0x3000, 0x4000]);
        fake.write(0x2004, 0x1000);
    });
    assert_eq!(found, [0x2000, 0x3000, 0x4000]);
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn lists_with_one_pointer_in_their_head_are_walked_and_checked() {
    let walk = |change: &dyn Fn(&mut Fake)| {
        let mut fake = Fake::zeros();
        for (from, to) in [(0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0)] {
            fake.write(from, to);
            if to != 0 {
                fake.write(u64::from(to) + 4, from as u32);
            }
        }
        change(&mut fake);
        let kernel = Kernel::new(&mut fake, minik());
        (kernel.hlist(0x1000, "the bucket"), kernel.take_problems())
    };
    assert_eq!(walk(&|_| {}), (vec![0x2000, 0x3000], vec![]));
    for (at, value) in [(0x3000, 0x2000), (0x3000, 0x10), (0x3000, 0x80_0000), (0x3004, 0x1000)] {
        let (found, problems) = walk(&|fake| {
            fake.write(at, value);
        });
        assert!(found.len() < 3 && problems.len() == 1, "{found:x?} {problems:?}");
    }
}

#[test]
fn chains_end_at_null_and_at_what_was_there_before() {
    let mut fake = Fake::zeros();
    fake.write(0x2008, 0x3000).write(0x3008, 0x4000);
    let kernel = Kernel::new(&mut fake, minik());
    assert_eq!(kernel.chain(0x2000, 8, 100, "the chain"), [0x2000, 0x3000, 0x4000]);
    assert_eq!(kernel.chain(0x2000, 8, 2, "the chain"), [0x2000, 0x3000]);
    assert_eq!(kernel.take_problems(), [""; 0]);
    let mut fake = Fake::zeros();
    fake.write(0x2008, 0x3000).write(0x3008, 0x2000);
    let kernel = Kernel::new(&mut fake, minik());
    assert_eq!(kernel.chain(0x2000, 8, 100, "the chain"), [0x2000, 0x3000]);
    assert_eq!(kernel.take_problems(), ["the chain is broken after 2 entries: 0x2000 was there before"]);
}

/// A node with its parent and children: `__rb_parent_color`, `rb_right`, `rb_left`.
fn node(fake: &mut Fake, at: u64, parent: u32, left: u32, right: u32) {
    fake.write(at, parent | 1).write(at + 4, right).write(at + 8, left);
}

#[test]
fn red_black_trees_are_walked_in_order_and_each_node_must_know_its_parent() {
    let mut fake = Fake::zeros();
    fake.write(0x1000, 0x4000);
    node(&mut fake, 0x4000, 0, 0x2000, 0x6000);
    node(&mut fake, 0x2000, 0x4000, 0, 0x3000);
    node(&mut fake, 0x3000, 0x2000, 0, 0);
    node(&mut fake, 0x6000, 0x4000, 0x5000, 0);
    node(&mut fake, 0x5000, 0x6000, 0, 0);
    let symbols = linux();
    let walk = |fake: &mut Fake| {
        let kernel = Kernel::new(fake, symbols.clone());
        (kernel.rb_tree(0x1000, "the tree"), kernel.take_problems())
    };
    assert_eq!(walk(&mut fake), (vec![0x2000, 0x3000, 0x4000, 0x5000, 0x6000], vec![]));
    // The right child of the first node is the root: it has another parent.
    fake.write(0x2004, 0x4000);
    let (found, problems) = walk(&mut fake);
    assert_eq!(found, [0x2000, 0x4000, 0x5000, 0x6000]);
    assert_eq!(problems, ["the tree is broken below 0x2000: 0x4000 has another parent, 0x0"]);
    fake.write(0x2004, 0x33).write(0x6008, 0x90_0000);
    let (found, problems) = walk(&mut fake);
    assert_eq!((found, problems.len()), (vec![0x2000, 0x4000, 0x6000], 2));
}

#[test]
fn maple_trees_are_walked_through_their_nodes() {
    let mut fake = Fake::zeros();
    // A root with gaps (kind 3) over two leaves (kind 1): 21 and 32 slots behind 20 and 31 pivots.
    fake.write(0x1000 + 8, 0x2000 | 3 << 3 | 2);
    fake.write(0x2000, 0x1001).write(0x2004, 0x4fff).write(0x2008, 0xffff_ffff);
    fake.write(0x2000 + 4 + 80, 0x3000 | 1 << 3).write(0x2000 + 4 + 84, 0x4000 | 1 << 3);
    fake.write(0x3000, 0x2000).write(0x3004, 0xfff).write(0x3008, 0x1fff).write(0x300c, 0x4fff);
    fake.write(0x3000 + 4 + 124 + 4, 0xaaa0);
    fake.write(0x4000, 0x2000).write(0x4004, 0x5fff).write(0x4008, 0xffff_ffff);
    fake.write(0x4000 + 4 + 124, 0xbbb0);
    let symbols = linux();
    let kernel = Kernel::new(&mut fake, symbols.clone());
    let root = kernel.field(kernel.type_named("struct maple_tree").unwrap(), "ma_root").unwrap().offset;
    let tree = 0x1008 - root;
    assert_eq!(kernel.maple_tree(tree, "the areas"), [0xaaa0, 0xbbb0]);
    assert_eq!(kernel.take_problems(), [""; 0]);
    // A leaf that belongs to another tree, and one that is the root itself.
    fake.write(0x3000, 0x9000).write(0x2000 + 4 + 84, 0x2000 | 3 << 3);
    let kernel = Kernel::new(&mut fake, symbols);
    assert_eq!(kernel.maple_tree(tree, "the areas"), [0; 0]);
    assert_eq!(kernel.take_problems().len(), 2);
}

#[test]
fn members_are_found_by_name_also_in_what_has_none_and_what_is_absent_is_unknown() {
    let mut fake = Fake::zeros();
    fake.write(0x5000, 7);
    let symbols = linux();
    let kernel = Kernel::new(&mut fake, symbols.clone());
    let task = kernel.object("struct task_struct", 0x4000).unwrap();
    assert!(task.member("no_such_member").is_none());
    assert!(task.u("no_such_member.inside").is_none());
    // In an anonymous structure of mm_struct.
    let mm = kernel.object("struct mm_struct", 0x4000).unwrap();
    let tree = mm.member("mm_mt.ma_root").unwrap();
    assert!(tree.address() > 0x4000 && tree.unsigned() == Some(0));
    assert!(kernel.variable("no_such_variable").is_none() && kernel.per_cpu("no_such_variable", 0).is_none());
    assert!(kernel.object("struct no_such", 0x4000).is_none());
    assert_eq!(kernel.take_problems(), [""; 0], "what a kernel does not have is no problem");
    assert!(kernel.object("struct mm_struct", 0x4001).is_none());
    assert!(kernel.object("struct mm_struct", 0x12).is_none());
    assert!(kernel.object("struct mm_struct", 0xffff_fff0).is_none());
    assert_eq!(kernel.take_problems().len(), 3);
}

#[test]
fn memory_is_read_in_pages_and_each_once() {
    let mut fake = Fake::zeros();
    {
        let kernel = Kernel::new(&mut fake, minik());
        for at in (0x1_0000..0x1_8000).step_by(4) {
            assert_eq!(kernel.memory.unsigned(at, 4), Some(0));
        }
        assert_eq!(kernel.memory.unsigned(0x1_fffe, 8), Some(0), "over the end of a page");
        assert_eq!(kernel.memory.unsigned(0xf_fffe, 8), None, "over the end of memory");
        assert_eq!(kernel.memory.unsigned(u64::MAX - 1, 8), None);
        assert_eq!(kernel.memory.pages_read(), 5, "two pages, the last one, and none twice");
    }
    assert_eq!(fake.reads, 5);
}

#[test]
fn the_same_problem_is_told_once_and_many_are_counted() {
    let mut fake = Fake::zeros();
    let kernel = Kernel::new(&mut fake, minik());
    (0..100).for_each(|n| kernel.problem(format!("problem {}", n % 60)));
    let problems = kernel.take_problems();
    assert_eq!((problems.len(), problems[40].as_str()), (41, "… and 60 more"));
    assert_eq!(kernel.take_problems(), [""; 0]);
}
