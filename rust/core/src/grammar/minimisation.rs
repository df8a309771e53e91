//! Hopcroft's algorithm: which states of a complete automaton no text tells apart.
//!
//! Most characters of most states lead to one state. Its block is never one that others are split
//! by: whether a step leads there follows from all other blocks. So steps into it are left out.

/// Targets that are counted to find the most common one.
const COUNTED: usize = 4_096;

/// A partition of states, kept as one list with the members of each block side by side.
struct Blocks {
    members: Vec<u32>,
    place: Vec<u32>,
    block: Vec<u32>,
    /// First and end of each block in `members`, and how many of its members are marked.
    ranges: Vec<(u32, u32, u32)>,
    /// Blocks with marked members.
    touched: Vec<u32>,
    /// A state that stays in the block which has the number 0.
    common: u32,
}

impl Blocks {
    /// One block of all states.
    fn of(count: usize, common: u32) -> Self {
        let members: Vec<u32> = (0..).take(count).collect();
        let end = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            place: members.clone(),
            members,
            block: vec![0; count],
            ranges: vec![(0, end, 0)],
            touched: Vec::new(),
            common,
        }
    }

    fn members_of(&self, block: u32) -> &[u32] {
        let (first, end, _) = self.ranges[block as usize];
        &self.members[first as usize..end as usize]
    }

    fn mark(&mut self, state: u32) {
        let block = self.block[state as usize];
        let (first, _, marked) = self.ranges[block as usize];
        let (at, to) = (self.place[state as usize], first + marked);
        if at < to {
            return;
        }
        if marked == 0 {
            self.touched.push(block);
        }
        let other = self.members[to as usize];
        self.members.swap(at as usize, to as usize);
        self.place[state as usize] = to;
        self.place[other as usize] = at;
        self.ranges[block as usize].2 += 1;
    }

    /// Parts the marked members of each block from the others. The new blocks are those without the
    /// common state, and the smaller halves of others.
    fn split(&mut self, new_blocks: &mut Vec<u32>) {
        while let Some(block) = self.touched.pop() {
            let (first, end, marked) = self.ranges[block as usize];
            self.ranges[block as usize].2 = 0;
            let cut = first + marked;
            if cut == end {
                continue;
            }
            let takes_marked = match block {
                0 => self.place[self.common as usize] >= cut,
                _ => marked <= end - cut,
            };
            let new = if takes_marked {
                self.ranges[block as usize].0 = cut;
                (first, cut, 0)
            } else {
                self.ranges[block as usize].1 = cut;
                (cut, end, 0)
            };
            let fresh = u32::try_from(self.ranges.len()).unwrap_or(u32::MAX);
            for at in new.0..new.1 {
                self.block[self.members[at as usize] as usize] = fresh;
            }
            self.ranges.push(new);
            new_blocks.push(fresh);
        }
    }
}

/// For each state its block; `next` has `classes` targets for each state.
///
/// Cost: states × classes, and steps that are not into the most common state × log states.
pub fn equivalent(next: &[u32], accepts: &[bool], classes: usize) -> Vec<u32> {
    let common = most_common(next, accepts.len());
    let mut blocks = Blocks::of(accepts.len(), common);
    for (state, _) in (0..).zip(accepts).filter(|(_, accepts)| **accepts) {
        blocks.mark(state);
    }
    let mut open = Vec::new();
    blocks.split(&mut open);
    let before = Predecessors::of(next, classes, accepts.len(), common);
    // Where steps of each class into a block come from.
    let mut sources: Vec<Vec<u32>> = vec![Vec::new(); classes];
    let mut met = Vec::new();
    while let Some(block) = open.pop() {
        for &state in blocks.members_of(block) {
            for &(class, from) in before.steps_into(state) {
                let sources = &mut sources[class as usize];
                if sources.is_empty() {
                    met.push(class);
                }
                sources.push(from);
            }
        }
        for class in met.drain(..) {
            for from in sources[class as usize].drain(..) {
                blocks.mark(from);
            }
            // Splitting by either half is enough where the whole was used already; where it still
            // waits, the other half keeps waiting under the old number.
            blocks.split(&mut open);
        }
    }
    blocks.block
}

/// The state into which most steps lead, as far as a part of them tells.
fn most_common(next: &[u32], count: usize) -> u32 {
    let mut counts = vec![0_u32; count];
    for &target in next.iter().step_by(next.len() / COUNTED + 1) {
        counts[target as usize] += 1;
    }
    let most = (0..).zip(counts).max_by_key(|one| one.1);
    most.map_or(0, |one| one.0)
}

/// Steps by the states into which they lead, each with its class and where it comes from.
struct Predecessors {
    starts: Vec<u32>,
    steps: Vec<(u32, u32)>,
}

impl Predecessors {
    fn of(next: &[u32], classes: usize, count: usize, common: u32) -> Self {
        let mut starts = vec![0_u32; count + 1];
        for &target in next.iter().filter(|target| **target != common) {
            starts[target as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut filled = starts.clone();
        let mut steps = vec![(0, 0); starts[count] as usize];
        for (state, row) in (0..).zip(next.chunks_exact(classes)) {
            for (class, &target) in (0..).zip(row) {
                if target != common {
                    let to = &mut filled[target as usize];
                    steps[*to as usize] = (class, state);
                    *to += 1;
                }
            }
        }
        Self { starts, steps }
    }

    fn steps_into(&self, state: u32) -> &[(u32, u32)] {
        let at = state as usize;
        &self.steps[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::equivalent;

    #[test]
    fn states_that_differ_only_later_are_told_apart() {
        // 0 → 1 → 2 → 3 (accepting) → 3; 4 → 2, so 4 and 1 are the same.
        let next = [1, 2, 3, 3, 2];
        let accepts = [false, false, false, true, false];
        let block = equivalent(&next, &accepts, 1);
        assert_eq!(block[1], block[4]);
        let mut distinct = block[..4].to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 4);
    }

    /// The states that are told apart by texts of so many characters or fewer.
    fn told_apart(next: &[u32], accepts: &[bool], classes: usize) -> Vec<u32> {
        let mut block: Vec<u32> = accepts.iter().map(|&accepts| u32::from(accepts)).collect();
        for _ in accepts {
            let rows = next.chunks_exact(classes).zip(&block);
            let prints: Vec<Vec<u32>> = rows
                .map(|(row, own)| {
                    row.iter()
                        .map(|&to| block[to as usize])
                        .chain([*own])
                        .collect()
                })
                .collect();
            let first = |print| prints.iter().position(|other| other == print);
            let firsts = prints.iter().map(|print| first(print).unwrap());
            block = firsts.map(|first| u32::try_from(first).unwrap()).collect();
        }
        block
    }

    proptest! {
        #[test]
        fn states_share_a_block_where_no_text_tells_them_apart(
            classes in 1_usize..4,
            accepts in prop::collection::vec(any::<bool>(), 1..24),
            seeds in prop::collection::vec((any::<u16>(), any::<bool>()), 96),
        ) {
            let count = accepts.len();
            let targets = seeds.iter().map(|&(to, is_common)| {
                if is_common { 0 } else { u32::from(to) % u32::try_from(count).unwrap() }
            });
            let next: Vec<u32> = targets.take(count * classes).collect();
            let block = equivalent(&next, &accepts, classes);
            let other = told_apart(&next, &accepts, classes);
            for one in 0..count {
                for two in 0..count {
                    prop_assert_eq!(block[one] == block[two], other[one] == other[two]);
                }
            }
        }
    }
}
