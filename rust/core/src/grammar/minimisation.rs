//! Hopcroft's algorithm: which states of a complete automaton no text tells apart.

/// A partition of states, kept as one list with the members of each block side by side.
struct Blocks {
    members: Vec<u32>,
    place: Vec<u32>,
    block: Vec<u32>,
    /// First and end of each block in `members`, and how many of its members are marked.
    ranges: Vec<(u32, u32, u32)>,
}

impl Blocks {
    fn mark(&mut self, state: u32, touched: &mut Vec<u32>) {
        let block = self.block[state as usize];
        let (first, _, marked) = self.ranges[block as usize];
        let (at, to) = (self.place[state as usize], first + marked);
        if at < to {
            return;
        }
        if marked == 0 {
            touched.push(block);
        }
        let other = self.members[to as usize];
        self.members.swap(at as usize, to as usize);
        self.place[state as usize] = to;
        self.place[other as usize] = at;
        self.ranges[block as usize].2 += 1;
    }

    /// Parts the marked members of a block from the others; the smaller half is the new block.
    fn split(&mut self, block: u32) -> Option<u32> {
        let (first, end, marked) = self.ranges[block as usize];
        self.ranges[block as usize].2 = 0;
        if first + marked == end {
            return None;
        }
        let fresh = u32::try_from(self.ranges.len()).ok()?;
        let cut = first + marked;
        let new = if marked <= end - cut {
            self.ranges[block as usize].0 = cut;
            (first, cut, 0)
        } else {
            self.ranges[block as usize].1 = cut;
            (cut, end, 0)
        };
        for at in new.0..new.1 {
            self.block[self.members[at as usize] as usize] = fresh;
        }
        self.ranges.push(new);
        Some(fresh)
    }
}

/// For each state its block; `next` has `classes` targets for each state.
///
/// Cost: states × classes × log states.
pub fn equivalent(next: &[u32], accepts: &[bool], classes: usize) -> Vec<u32> {
    let count = accepts.len();
    let mut members: Vec<u32> = (0..).take(count).collect();
    members.sort_by_key(|&state| accepts[state as usize]);
    let mut place = vec![0; count];
    for (at, &state) in (0..).zip(&members) {
        place[state as usize] = at;
    }
    let total = u32::try_from(count).unwrap_or(u32::MAX);
    let mut blocks = Blocks {
        members,
        place,
        block: vec![0; count],
        ranges: vec![(0, total, 0)],
    };
    let mut touched = Vec::new();
    for (state, &accept) in (0..).zip(accepts) {
        if accept {
            blocks.mark(state, &mut touched);
        }
    }
    let mut open: Vec<u32> = vec![0];
    open.extend(touched.pop().and_then(|block| blocks.split(block)));
    let before = predecessors(next, classes, count);
    while let Some(block) = open.pop() {
        let (first, end, _) = blocks.ranges[block as usize];
        let splitter: Vec<u32> = blocks.members[first as usize..end as usize].to_vec();
        for class in 0..classes {
            for &state in &splitter {
                let slot = class * count + state as usize;
                let range = before.starts[slot] as usize..before.starts[slot + 1] as usize;
                for &from in &before.states[range] {
                    blocks.mark(from, &mut touched);
                }
            }
            while let Some(block) = touched.pop() {
                // Splitting by either half is enough where the whole was used already; where it
                // still waits, the other half keeps waiting under the old number.
                open.extend(blocks.split(block));
            }
        }
    }
    blocks.block
}

struct Predecessors {
    starts: Vec<u32>,
    states: Vec<u32>,
}

/// The states that lead to each state, by class.
fn predecessors(next: &[u32], classes: usize, count: usize) -> Predecessors {
    let mut starts = vec![0_u32; classes * count + 1];
    for (slot, &target) in next.iter().enumerate() {
        starts[(slot % classes) * count + target as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut filled = starts.clone();
    let mut states = vec![0; next.len()];
    for (slot, &target) in next.iter().enumerate() {
        let to = &mut filled[(slot % classes) * count + target as usize];
        states[*to as usize] = u32::try_from(slot / classes).unwrap_or(u32::MAX);
        *to += 1;
    }
    Predecessors { starts, states }
}

#[cfg(test)]
mod tests {
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
}
