//! `uniqueItems` as rules: no value can be chosen twice.
//!
//! A grammar cannot compare two items. Its rules remember which kinds of items are used: constants,
//! or, where the items are open, classes that no value shares ([`super::item_kinds`]). As long as
//! the sets of used kinds are few, items come in any order; after that in the order of their kinds.
//! All of this is sound, and leaves some valid arrays out.

use super::array_rules::text;
use super::choices::Choices;
use super::emission::Emission;
use super::form::{ArrayShape, NOTHING};
use super::hash::Map;
use super::refusal::{Refusal, Result};
use super::rules::{Piece, RuleId, Token};
use super::text_classes::Feature;

/// Sets of used kinds that are remembered, and ways on from all of them.
const SETS_MAX: usize = 256;
const WAYS_MAX: usize = 2_400;
/// Ways on in a whole grammar.
const WAYS_TOTAL: usize = 4 * WAYS_MAX;

/// Items and the closing bracket, each item another value.
pub(super) fn items(emission: &mut Emission, shape: &ArrayShape) -> Result<RuleId> {
    if !shape.prefix.is_empty() {
        return Err(
            Refusal::unsupported("uniqueItems", "it stands beside items by position")
                .hint("leave `uniqueItems` out, or use `items` alone"),
        );
    }
    if shape.rest == NOTHING {
        return emission.rules.add([[text("]")]]);
    }
    // What one way to tell values apart leaves out, another may take.
    let mut ways = Vec::new();
    for features in [
        &[Feature::Sum, Feature::Weighed, Feature::First][..],
        &[Feature::First, Feature::Second],
    ] {
        for &feature in features {
            let Some(kinds) = emission.item_kinds(shape.rest, feature)? else {
                break;
            };
            let tokens = |pieces: Vec<Piece>| {
                let all = pieces.into_iter().map(|piece| emission.rules.token(piece));
                all.collect()
            };
            let all: Vec<Vec<Token>> = kinds.all.into_iter().map(tokens).collect();
            ways.extend(told_apart(emission, shape, &all)?.map(|way| vec![Piece::Rule(way)]));
            if !kinds.by_feature {
                break;
            }
        }
        if !ways.is_empty() {
            return emission.rules.add(ways);
        }
    }
    let reason = "so many different items cannot be told apart";
    Err(Refusal::unsupported("uniqueItems", reason)
        .hint("list the items in an `enum`, or ask for fewer"))
}

/// The items by their kinds; none where the kinds are too few.
fn told_apart(
    emission: &mut Emission,
    shape: &ArrayShape,
    kinds: &[Vec<Token>],
) -> Result<Option<RuleId>> {
    let min = shape.min as usize;
    if min > kinds.len() {
        return Ok(None);
    }
    let max = (shape.max).map_or(usize::MAX, |max| max as usize);
    let bounds = (min, max.min(kinds.len()));
    let rising = Rising::of(emission, kinds, bounds)?;
    let left = WAYS_TOTAL - emission.unordered_ways;
    let (free, ways) = free_items(kinds.len(), left.min(WAYS_MAX));
    if free < 2 {
        return Ok(Some(rising.rule(0, 0)));
    }
    emission.unordered_ways += ways;
    let sets = Sets {
        kinds,
        bounds,
        rising,
        free: u32::try_from(free).unwrap_or(u32::MAX),
        tokens_max: kinds.iter().map(|kind| kind.len() + 2).sum(),
    };
    sets.rule(emission, &mut Map::default(), 0).map(Some)
}

/// How many items may come in any order before their kinds have to rise, and how many ways on that
/// takes.
fn free_items(kinds: usize, ways_max: usize) -> (usize, usize) {
    let (mut sets, mut all, mut ways) = (1, 1, 0);
    for count in 1..=kinds {
        // Here are `sets` sets of one kind less, and `all` up to them.
        let more = ways + sets * (kinds + 1 - count);
        if all > SETS_MAX || more > ways_max {
            return (count - 1, ways);
        }
        ways = more;
        sets = sets * (kinds + 1 - count) / count;
        all += sets;
    }
    (kinds, ways)
}

/// Any order: a rule for each set of kinds that is used up.
struct Sets<'k> {
    kinds: &'k [Vec<Token>],
    bounds: (usize, usize),
    rising: Rising,
    free: u32,
    /// Tokens of one item of each kind, with what follows and an end.
    tokens_max: usize,
}

impl Sets<'_> {
    fn rule(
        &self,
        emission: &mut Emission,
        rules: &mut Map<u64, RuleId>,
        used: u64,
    ) -> Result<RuleId> {
        if let Some(&rule) = rules.get(&used) {
            return Ok(rule);
        }
        let count = used.count_ones() as usize;
        if used.count_ones() >= self.free {
            let after = u64::BITS - used.leading_zeros();
            return Ok(self.rising.rule(after as usize, count));
        }
        let rule = emission.rules.reserve()?;
        rules.insert(used, rule);
        let mut others = Choices::with_room(self.tokens_max);
        let mut all = Choices::with_room(2 * (self.tokens_max + self.kinds.len()) + 2);
        if count >= self.bounds.0 {
            all.push(&[emission.rules.text_token("]")]);
        }
        let mut pieces = Vec::new();
        for (place, kind) in self.kinds.iter().enumerate() {
            let next = used | 1 << place;
            if next != used && count < self.bounds.1 {
                pieces.clone_from(kind);
                pieces.push(Token::Rule(self.rule(emission, rules, next)?));
                others.push(&pieces);
            }
        }
        emission.next_of(count == 0, &others, &mut all)?;
        emission.rules.define_choices(rule, &all);
        Ok(rule)
    }
}

/// One order: each kind after the ones before it, by place and count.
struct Rising {
    rules: Vec<Vec<RuleId>>,
    counted: usize,
}

impl Rising {
    fn of(
        emission: &mut Emission,
        kinds: &[Vec<Token>],
        (min, max): (usize, usize),
    ) -> Result<Self> {
        // A count matters only while there are too few, or where there can be too many.
        let counted = if max < kinds.len() { max } else { min.max(1) };
        let mut rules: Vec<Vec<RuleId>> = vec![Vec::new(); kinds.len() + 1];
        for place in (0..=kinds.len()).rev() {
            let mut row = Vec::with_capacity(counted + 1);
            for count in 0..=counted {
                let mut all = Choices::default();
                if place == kinds.len() && count >= min {
                    all.push(&[emission.rules.text_token("]")]);
                }
                if let (Some(kind), Some(after)) = (kinds.get(place), rules.get(place + 1)) {
                    all.push(&[Token::Rule(after[count])]);
                    if max == kinds.len() || count < max {
                        let mut pieces = kind.clone();
                        pieces.push(Token::Rule(after[(count + 1).min(counted)]));
                        emission.next_one(count == 0, &pieces, &mut all)?;
                    }
                }
                row.push(emission.rules.add_choices(&all)?);
            }
            rules[place] = row;
        }
        Ok(Self { rules, counted })
    }

    fn rule(&self, place: usize, count: usize) -> RuleId {
        self.rules[place][count.min(self.counted)]
    }
}
