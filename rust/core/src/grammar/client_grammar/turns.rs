//! Rules that never come to an end, and turns that take no character.

use std::collections::VecDeque;

use crate::grammar::ebnf::{Expression, Grammar};
use crate::grammar::refusal::{Refusal, Result};

/// Refuses a grammar whose root has no text.
///
/// # Errors
/// Invalid.
pub(super) fn refuse_endless(grammar: &Grammar) -> Result<()> {
    if least(grammar, comes_to_end)[grammar.root] {
        return Ok(());
    }
    let reason = "the rule `root` never comes to an end";
    Err(Refusal::invalid("", reason))
}

/// The rules of which something comes to be true, beginning with none: one is looked at again when
/// one that it names has come to be so.
fn least(grammar: &Grammar, holds: impl Fn(&Expression, &[bool]) -> bool) -> Vec<bool> {
    let count = grammar.bodies.len();
    let mut users = vec![Vec::new(); count];
    for (place, body) in grammar.bodies.iter().enumerate() {
        note_named(body, place, &mut users);
    }
    let mut found = vec![false; count];
    let mut waits = vec![true; count];
    let mut queue: VecDeque<usize> = (0..count).collect();
    while let Some(place) = queue.pop_front() {
        waits[place] = false;
        if !holds(&grammar.bodies[place], &found) {
            continue;
        }
        found[place] = true;
        for &user in &users[place] {
            if !found[user] && !waits[user] {
                waits[user] = true;
                queue.push_back(user);
            }
        }
    }
    found
}

/// Notes for each rule that an expression names whose expression it is.
fn note_named(of: &Expression, place: usize, users: &mut [Vec<usize>]) {
    match of {
        Expression::Literal(_) | Expression::Class(_) => {}
        Expression::Rule(named) => {
            let users = &mut users[*named];
            if users.last() != Some(&place) {
                users.push(place);
            }
        }
        Expression::Sequence(all) | Expression::Choice(all) => {
            for each in all {
                note_named(each, place, users);
            }
        }
        Expression::Repeat(inner, ..) => note_named(inner, place, users),
    }
}

fn comes_to_end(of: &Expression, ends: &[bool]) -> bool {
    match of {
        Expression::Literal(_) => true,
        Expression::Class(set) => !set.is_empty(),
        Expression::Rule(place) => ends[*place],
        Expression::Sequence(all) => all.iter().all(|each| comes_to_end(each, ends)),
        Expression::Choice(all) => all.iter().any(|each| comes_to_end(each, ends)),
        Expression::Repeat(inner, min, _) => *min == 0 || comes_to_end(inner, ends),
    }
}

/// Refuses what may turn without taking a character: an engine's parser would go on for ever, or
/// find a text in countless ways.
///
/// # Errors
/// Invalid.
pub(super) fn refuse_empty(grammar: &Grammar) -> Result<()> {
    let empty = least(grammar, may_be_empty);
    let count = empty.len();
    // How many rules each can stand for alone, and by whom it can be stood for.
    let mut left = Vec::with_capacity(count);
    let mut users = vec![Vec::new(); count];
    for (place, body) in grammar.bodies.iter().enumerate() {
        let mut found = Vec::new();
        alone_in(body, &empty, &mut found)?;
        left.push(found.len());
        for other in found {
            users[other].push(place);
        }
    }
    // Those that stand for no other one are taken out, one after the other.
    let mut open: Vec<usize> = (0..count).filter(|&place| left[place] == 0).collect();
    let mut taken = 0;
    while let Some(place) = open.pop() {
        taken += 1;
        for &user in &users[place] {
            left[user] -= 1;
            if left[user] == 0 {
                open.push(user);
            }
        }
    }
    if taken < count {
        return Err(Refusal::invalid("", "a rule can stand for itself alone"));
    }
    Ok(())
}

fn may_be_empty(of: &Expression, empty: &[bool]) -> bool {
    match of {
        Expression::Literal(text) => text.is_empty(),
        Expression::Class(_) => false,
        Expression::Rule(place) => empty[*place],
        Expression::Sequence(all) => all.iter().all(|each| may_be_empty(each, empty)),
        Expression::Choice(all) => all.iter().any(|each| may_be_empty(each, empty)),
        Expression::Repeat(inner, min, _) => *min == 0 || may_be_empty(inner, empty),
    }
}

/// The rules that an expression can stand for with nothing beside them.
fn alone_in(of: &Expression, empty: &[bool], found: &mut Vec<usize>) -> Result<()> {
    match of {
        Expression::Literal(_) | Expression::Class(_) => {}
        Expression::Rule(place) => found.push(*place),
        Expression::Choice(all) => {
            for each in all {
                alone_in(each, empty, found)?;
            }
        }
        Expression::Sequence(all) => {
            let full = all.iter().filter(|each| !may_be_empty(each, empty)).count();
            for each in all {
                let mut inner = Vec::new();
                alone_in(each, empty, &mut inner)?;
                if full == usize::from(!may_be_empty(each, empty)) {
                    found.append(&mut inner);
                }
            }
        }
        Expression::Repeat(inner, _, max) => {
            if max.is_none_or(|max| max > 1) && may_be_empty(inner, empty) {
                let what = "a repetition of what may be empty";
                return Err(Refusal::invalid("", what).hint("let each turn take a character"));
            }
            alone_in(inner, empty, found)?;
        }
    }
    Ok(())
}
