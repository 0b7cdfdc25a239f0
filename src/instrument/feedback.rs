//! Few nodes of a graph that all its cycles come through.
//!
//! The fewest are hard to find, few are not: nodes that can be left out without a loss are, as in the reductions of Levy
//! and Low ("A contraction algorithm for finding small cycle cutsets", 1988), here with weights; where there is none
//! left, the node that seems to be on most cycles for its weight is taken.

use std::collections::BTreeSet;

/// A graph that becomes smaller.
#[derive(Debug)]
pub(super) struct Feedback {
    /// By node: who it leads to, and who leads to it.
    to: Vec<BTreeSet<usize>>,
    from: Vec<BTreeSet<usize>>,
    /// What it costs to take it.
    weight: Vec<usize>,
    /// Nodes that something changed at.
    changed: BTreeSet<usize>,
}

impl Feedback {
    /// A graph of nodes of these weights, without edges.
    pub(super) fn new(weight: Vec<usize>) -> Feedback {
        let none = vec![BTreeSet::new(); weight.len()];
        Feedback { to: none.clone(), from: none, changed: (0..weight.len()).collect(), weight }
    }

    /// Adds an edge.
    pub(super) fn link(&mut self, from: usize, to: usize) {
        self.to[from].insert(to);
        self.from[to].insert(from);
    }

    /// Nodes that all cycles come through.
    pub(super) fn find(mut self) -> Vec<usize> {
        let mut found = Vec::new();
        loop {
            if let Some(node) = self.changed.pop_first() {
                if self.to[node].contains(&node) {
                    found.push(node);
                    self.remove(node);
                } else {
                    self.contract(node);
                }
                continue;
            }
            let cycles = |node: &usize| self.to[*node].len() * self.from[*node].len();
            let left = (0..self.weight.len()).filter(|node| cycles(node) > 0);
            // In whole numbers, but fine enough: most quotients are below 1.
            let Some(node) = left.max_by_key(|node| (cycles(node) << 20) / self.weight[*node].max(1)) else {
                return found;
            };
            found.push(node);
            self.remove(node);
        }
    }

    /// Leaves a node out if every cycle through it comes through a neighbour that is no dearer.
    fn contract(&mut self, node: usize) {
        let only = |neighbours: &BTreeSet<usize>| match neighbours.len() {
            1 => neighbours.first().copied(),
            _ => None,
        };
        let (to, from) = (&self.to[node], &self.from[node]);
        let cheaper = |neighbour: &usize| self.weight[*neighbour] <= self.weight[node];
        let around = only(to).filter(cheaper).or_else(|| only(from).filter(cheaper));
        if around.is_none() && !to.is_empty() && !from.is_empty() {
            return;
        }
        let (to, from) = (to.clone(), from.clone());
        self.remove(node);
        for &from in &from {
            for &to in &to {
                self.link(from, to);
            }
        }
    }

    fn remove(&mut self, node: usize) {
        for to in std::mem::take(&mut self.to[node]) {
            self.from[to].remove(&node);
            self.changed.insert(to);
        }
        for from in std::mem::take(&mut self.from[node]) {
            self.to[from].remove(&node);
            self.changed.insert(from);
        }
        self.changed.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(weight: &[usize], edges: &[(usize, usize)]) -> Vec<usize> {
        let mut graph = Feedback::new(weight.to_vec());
        for &(from, to) in edges {
            graph.link(from, to);
        }
        graph.find()
    }

    #[test]
    fn the_cheapest_of_a_cycle_is_found() {
        assert_eq!(find(&[3, 1, 2], &[(0, 1), (1, 2), (2, 0)]), [1]);
        assert_eq!(find(&[1; 4], &[(0, 1), (1, 2), (2, 3)]), [0; 0]);
        assert_eq!(find(&[9, 1], &[(0, 0), (0, 1), (1, 0)]), [0], "none but itself is on its own cycle");
        // Two cycles with a node in common.
        assert_eq!(find(&[1; 5], &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 2)]), [2]);
    }

    proptest! {
        #[test]
        fn without_them_there_is_no_cycle(
            edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..40),
            weight in prop::collection::vec(1..5_usize, 12),
        ) {
            let found = find(&weight, &edges);
            // Leaves fall off until nothing is left.
            let mut left: BTreeSet<usize> = (0..12).filter(|node| !found.contains(node)).collect();
            while let Some(&leaf) = left.iter().find(|&&node| !edges.iter().any(|(from, to)| *from == node && left.contains(to))) {
                left.remove(&leaf);
            }
            prop_assert_eq!(left, BTreeSet::new());
        }
    }
}
