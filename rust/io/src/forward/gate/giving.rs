//! A round of giving: free places go to those whose turn it is, as long as there are any.

use std::sync::Arc;

use tokenmill_core::fairness::{Line, Next, is_first, share};
use tokenmill_core::routing::{Candidate, Standing, pick};
use tokio::sync::oneshot;

use super::place::{Counted, Place};
use super::{Gate, State, Waiter};
use crate::clock;
use crate::forward::fleet::Engine;

/// A place that is on its way to who waited for it.
pub(super) type Given = (u64, Option<oneshot::Sender<Place>>, Place);

/// What is known of an engine for one round of giving.
struct Seen {
    slot: usize,
    in_flight: u64,
    is_full: bool,
    elsewhere: Option<(u64, usize)>,
}

impl Gate {
    /// Gives free places to those whose turn it is, while there are any.
    pub(super) fn give(self: &Arc<Self>, state: &mut State) -> Vec<Given> {
        let mut given = Vec::new();
        if state.line.is_empty() {
            return given;
        }
        let now_ms = clock::monotonic_ms();
        let mut seen: Vec<Seen> = Vec::new();
        while let Some(next) = self.next(&state.line, &mut seen, now_ms) {
            if let Some(place) = self.take(state, next, &mut seen, now_ms) {
                let waiter = state.line.remove(next.account_id, next.id);
                given.push((next.id, waiter.map(|waiter| waiter.place), place));
            }
        }
        self.tell(state);
        given
    }

    fn next(&self, line: &Line<Waiter>, seen: &mut Vec<Seen>, now_ms: u64) -> Option<Next> {
        line.next(
            |account_id| self.segment.served(account_id),
            |served, waiter| {
                let mut engines = waiter.engines.iter();
                engines.any(|engine| self.may_take(engine, served, seen, now_ms))
            },
        )
    }

    fn may_take(&self, engine: &Engine, served: u64, seen: &mut Vec<Seen>, now_ms: u64) -> bool {
        if engine.places() == 0 {
            return true;
        }
        let slot = engine.slot();
        let at = seen
            .iter()
            .position(|each| each.slot == slot)
            .unwrap_or_else(|| {
                let in_flight = self.segment.engine_in_flight(slot);
                seen.push(Seen {
                    slot,
                    in_flight,
                    is_full: in_flight >= engine.places(),
                    elsewhere: self.segment.least_elsewhere(self.worker, slot, now_ms),
                });
                seen.len() - 1
            });
        let known = &seen[at];
        !known.is_full && is_first((served, self.worker), known.elsewhere)
    }

    /// Takes a place for whoever is next, of the least busy engine that has one.
    fn take(
        self: &Arc<Self>,
        state: &State,
        next: Next,
        seen: &mut Vec<Seen>,
        now_ms: u64,
    ) -> Option<Place> {
        let waiter = state.line.get(next)?;
        let free = waiter.engines.iter();
        let free: Vec<_> = free
            .filter(|engine| self.may_take(engine, next.served, seen, now_ms))
            .map(|engine| self.candidate(engine, now_ms))
            .collect();
        // The first one is who should have it, by the pool's policy.
        let first = waiter.engines.first()?.slot();
        let slot = if free.iter().any(|each| each.engine == first) {
            first
        } else {
            pick(&free, waiter.seed)?
        };
        let engine = waiter.engines.iter().find(|engine| engine.slot() == slot)?;
        let places = engine.places();
        if places == 0 {
            self.segment.engine_in_flight_add(self.worker, slot, 1);
        } else {
            let known = seen.iter_mut().find(|each| each.slot == slot)?;
            if !self.segment.take_place(self.worker, slot, places) {
                known.is_full = true;
                return None;
            }
            known.in_flight += 1;
            known.is_full = known.in_flight >= places;
        }
        let others = state.line.has_others(next.account_id)
            || seen
                .iter()
                .any(|each| each.slot == slot && each.elsewhere.is_some());
        let counted = (others && places > 0).then(|| self.count(state, next, slot));
        Some(self.place(engine, counted))
    }

    /// Counts a place at what it will probably be held for.
    fn count(&self, state: &State, next: Next, slot: usize) -> Counted {
        self.segment.raise_floor(slot, next.served);
        let estimate = share(state.held_ns[slot], next.weight);
        self.segment
            .add_served(next.account_id, estimate.cast_signed());
        Counted {
            account_id: next.account_id,
            weight: next.weight,
            estimate,
        }
    }

    fn candidate(&self, engine: &Engine, now_ms: u64) -> Candidate {
        Candidate {
            engine: engine.slot(),
            in_flight: self.segment.engine_in_flight(engine.slot()),
            is_suspect: self.segment.engine_standing(engine.slot(), now_ms) == Standing::Out,
        }
    }
}

/// Without the gate's lock: whoever has left meanwhile gives the place back at once.
pub(super) fn hand_over(given: Vec<Given>) {
    for (_, sender, place) in given {
        if let Some(sender) = sender {
            drop(sender.send(place));
        }
    }
}
