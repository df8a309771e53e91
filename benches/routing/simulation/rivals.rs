//! What others do, for comparison.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use tokenmill_core::routing::mixed;

use super::engine::Engine;
use super::pickers::{Asked, Picker};

/// Everyone in turn.
#[derive(Default)]
pub struct RoundRobin(usize);

impl Picker for RoundRobin {
    fn pick(&mut self, asked: &Asked<'_>) -> (usize, u64) {
        self.0 = (self.0 + 1) % asked.engines.len();
        (self.0, 0)
    }
}

/// Anyone.
pub struct Random;

impl Picker for Random {
    fn pick(&mut self, asked: &Asked<'_>) -> (usize, u64) {
        (by_lot(asked.seed, asked.engines.len()), 0)
    }
}

/// The one with the fewest requests.
pub struct LeastRequests;

impl Picker for LeastRequests {
    fn pick(&mut self, asked: &Asked<'_>) -> (usize, u64) {
        (least(asked.seed, asked.engines), 0)
    }
}

/// As the router of `SGLang`: the shortest queue while the fleet is out of balance, else the engine
/// that was last sent the longest beginning, if that is a good part of the prompt, else the
/// shortest queue. With that router's present defaults, and a tree that forgets nothing.
#[derive(Default)]
pub struct CacheAware {
    last: HashMap<u64, usize, FixedState>,
}

const MATCH_MIN: f64 = 0.3;
const OUT_OF_BALANCE: u64 = 64;
const OUT_OF_BALANCE_TIMES: f64 = 1.5;

#[expect(clippy::cast_precision_loss, reason = "shares")]
impl Picker for CacheAware {
    fn pick(&mut self, asked: &Asked<'_>) -> (usize, u64) {
        let loads = asked.engines.iter().map(Engine::requests);
        let most = loads.clone().max().unwrap_or(0);
        let fewest = loads.min().unwrap_or(0);
        let is_out_of_balance =
            most - fewest > OUT_OF_BALANCE && most as f64 > fewest as f64 * OUT_OF_BALANCE_TIMES;
        let known = asked.blocks.iter().map_while(|block| self.last.get(block));
        let (matched, holder) =
            known.fold((0_usize, None), |(count, _), one| (count + 1, Some(*one)));
        let is_good = matched as f64 > asked.blocks.len() as f64 * MATCH_MIN;
        let chosen = match holder {
            Some(holder) if is_good && !is_out_of_balance => holder,
            _ => least(asked.seed, asked.engines),
        };
        for block in asked.blocks {
            self.last.insert(*block, chosen);
        }
        (chosen, 0)
    }
}

fn least(seed: u64, engines: &[Engine]) -> usize {
    let begin = by_lot(seed, engines.len());
    let order = (0..engines.len()).map(|step| (begin + step) % engines.len());
    order.min_by_key(|at| engines[*at].requests()).unwrap_or(0)
}

fn by_lot(seed: u64, count: usize) -> usize {
    usize::try_from(mixed(seed) % count as u64).unwrap_or(0)
}
