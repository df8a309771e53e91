//! Random texts of a grammar: a walk that takes any way at first, and the shortest one in the end.

use super::charset::char_of;
use super::ebnf::{Expression, Grammar};

/// A way that never ends.
const ENDLESS: u32 = u32::MAX;

/// Draws texts; the same seed draws the same ones.
#[derive(Debug)]
pub struct Sampler {
    grammar: Grammar,
    /// For each rule, how many rules deep its shortest text lies.
    heights: Vec<u32>,
    seed: u64,
}

impl Sampler {
    /// None where the grammar has no text.
    pub fn new(grammar: Grammar, seed: u64) -> Option<Self> {
        let heights = heights(&grammar);
        (heights[grammar.root] != ENDLESS).then_some(Self {
            grammar,
            heights,
            seed,
        })
    }

    /// A text. After `steps_max` rules the walk goes home by the shortest way.
    pub fn draw(&mut self, steps_max: usize) -> String {
        let mut out = String::new();
        let mut steps = 0;
        let mut seed = self.seed;
        let grammar = &self.grammar;
        let mut open = vec![&grammar.bodies[grammar.root]];
        while let Some(next) = open.pop() {
            let is_late = steps >= steps_max;
            match next {
                Expression::Literal(text) => out.push_str(text),
                Expression::Class(set) => {
                    let ranges = set.ranges();
                    if !ranges.is_empty() {
                        let (low, high) = ranges[below(&mut seed, ranges.len())];
                        let width = (high - low) as usize + 1;
                        let offset = u32::try_from(below(&mut seed, width)).unwrap_or(0);
                        out.push(char_of(low + offset));
                    }
                }
                Expression::Rule(rule) => {
                    steps += 1;
                    open.push(&grammar.bodies[*rule]);
                }
                Expression::Sequence(parts) => open.extend(parts.iter().rev()),
                Expression::Choice(all) => {
                    let ending = || all.iter().filter(|one| self.height(one) != ENDLESS);
                    let taken = if is_late {
                        ending().min_by_key(|one| self.height(one))
                    } else {
                        ending().nth(below(&mut seed, ending().count()))
                    };
                    open.extend(taken);
                }
                Expression::Repeat(inner, min, max) => {
                    let most = max.unwrap_or(u32::MAX);
                    let mut count = *min;
                    if self.height(inner) != ENDLESS {
                        while !is_late && count < most && below(&mut seed, 3) > 0 {
                            count += 1;
                        }
                    }
                    open.extend(std::iter::repeat_n(&**inner, count as usize));
                }
            }
        }
        self.seed = seed;
        out
    }

    fn height(&self, expression: &Expression) -> u32 {
        height(expression, &self.heights)
    }
}

/// `SplitMix64`: a number below `bound`, which is not 0.
fn below(seed: &mut u64, bound: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    usize::try_from(mixed % bound.max(1) as u64).unwrap_or(0)
}

fn heights(grammar: &Grammar) -> Vec<u32> {
    let mut found = vec![ENDLESS; grammar.bodies.len()];
    loop {
        let mut is_settled = true;
        for (rule, body) in grammar.bodies.iter().enumerate().rev() {
            let height = height(body, &found);
            if height != ENDLESS && height + 1 < found[rule] {
                found[rule] = height + 1;
                is_settled = false;
            }
        }
        if is_settled {
            return found;
        }
    }
}

fn height(expression: &Expression, heights: &[u32]) -> u32 {
    match expression {
        Expression::Class(set) if set.is_empty() => ENDLESS,
        Expression::Literal(_) | Expression::Class(_) | Expression::Repeat(_, 0, _) => 0,
        Expression::Rule(rule) => heights[*rule],
        Expression::Sequence(parts) => parts
            .iter()
            .map(|part| height(part, heights))
            .max()
            .unwrap_or(0),
        Expression::Choice(all) => all
            .iter()
            .map(|one| height(one, heights))
            .min()
            .unwrap_or(ENDLESS),
        Expression::Repeat(inner, ..) => height(inner, heights),
    }
}

#[cfg(test)]
mod tests {
    use super::{Grammar, Sampler};
    use crate::grammar::{compile, limits::Options};

    #[test]
    fn what_is_drawn_is_of_the_grammar_and_depends_on_the_seed() {
        let text =
            "root ::= \"a\" [b-d]{2,3} (r1 | \"\\n\")? (= \"x\") # a hint\nr1 ::= \"e\" root\n";
        let drawn = |seed| {
            let grammar = Grammar::parse(text, 9).unwrap();
            let mut sampler = Sampler::new(grammar, seed).unwrap();
            (0..50).map(|_| sampler.draw(20)).collect::<Vec<_>>()
        };
        let texts = drawn(1);
        assert!(
            texts
                .iter()
                .all(|text| text.starts_with('a') && text.len() >= 3)
        );
        assert!(texts.iter().any(|text| text.ends_with('\n')));
        assert!(texts.iter().any(|text| text.contains("ea")));
        assert_eq!(texts, drawn(1));
        assert_ne!(texts, drawn(2));
    }

    #[test]
    fn a_walk_ends_however_deep_the_grammar_is() {
        let schema = br##"{"items":{"$ref":"#"},"type":"array","minItems":1,"maxItems":3}"##;
        let endless = compile(schema, &Options::default()).unwrap_err();
        assert_eq!(endless.kind.word(), "unsatisfiable");
        let schema = br##"{"items":{"$ref":"#"},"type":"array","maxItems":3}"##;
        let made = compile(schema, &Options::default()).unwrap();
        let grammar = Grammar::parse(&made.text, usize::MAX).unwrap();
        let mut sampler = Sampler::new(grammar, 7).unwrap();
        assert!((0..200).all(|_| sampler.draw(100).len() < 100_000));
    }

    #[test]
    fn a_grammar_without_texts_has_no_samples() {
        let grammar = Grammar::parse("root ::= \"a\" root", 9).unwrap();
        assert!(Sampler::new(grammar, 1).is_none());
    }
}
