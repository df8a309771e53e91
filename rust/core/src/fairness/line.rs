//! Those who wait in one worker, by account.

use std::collections::{BTreeMap, VecDeque};

use super::share;

/// Requests that wait. `T` is whatever the caller needs to let one go.
#[derive(Debug)]
pub struct Line<T> {
    accounts: BTreeMap<u64, Account<T>>,
    count: usize,
}

#[derive(Debug)]
struct Account<T> {
    weight: u16,
    /// In the order they came, by number.
    waiting: VecDeque<(u64, T)>,
}

/// Who may begin to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The account.
    pub account_id: u64,
    /// Its weight.
    pub weight: u16,
    /// What it was served.
    pub served: u64,
    /// How long a place is held, on average.
    pub held_ns: u64,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// The account.
    pub account_id: u64,
    /// The number of its request.
    pub id: u64,
    /// What the account was served.
    pub served: u64,
    /// Its weight.
    pub weight: u16,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many requests of an account wait.
    pub fn len_of(&self, account_id: u64) -> usize {
        let account = self.accounts.get(&account_id);
        account.map_or(0, |account| account.waiting.len())
    }

    /// Whether other accounts than this one wait.
    pub fn has_others(&self, account_id: u64) -> bool {
        self.count > self.len_of(account_id)
    }

    /// Whether one more request of the account may wait: it has fewer than a quarter of the room
    /// that is left. However many one account sends, there is room for the others.
    ///
    /// Source: the dynamic thresholds of Choudhury and Hahne, 1998.
    pub fn has_room(&self, account_id: u64, waiting_max: usize) -> bool {
        let left = waiting_max.saturating_sub(self.count);
        self.len_of(account_id).saturating_mul(4) < left
    }

    /// Places that are given until one more request of the account has its own: what others were
    /// served less than it will have been, they are served first. An account that is `pressing`
    /// has more requests than get in, and takes all turns that it gets; another one those of its
    /// requests that wait.
    pub fn turns_before(
        &self,
        newcomer: Newcomer,
        served: impl Fn(u64) -> u64,
        pressing: impl Fn(u64) -> bool,
    ) -> u64 {
        let turn = |weight| share(newcomer.held_ns, weight).max(1);
        let own = self.len_of(newcomer.account_id) as u64 + 1;
        let goal = own.saturating_mul(turn(newcomer.weight));
        let goal = newcomer.served.saturating_add(goal);
        let others = self.accounts.iter();
        let others = others.filter(|(id, _)| **id != newcomer.account_id);
        others.fold(own, |turns, (id, each)| {
            let behind = goal.saturating_sub(served(*id));
            let theirs = behind.div_ceil(turn(each.weight));
            let waiting = each.waiting.len() as u64;
            turns.saturating_add(if pressing(*id) {
                theirs
            } else {
                theirs.min(waiting)
            })
        })
    }

    /// Puts a request at the end of its account's; `id` is greater than all before.
    pub fn push(&mut self, id: u64, account_id: u64, weight: u16, item: T) {
        let account = self.accounts.entry(account_id).or_insert_with(|| Account {
            weight: 1,
            waiting: VecDeque::new(),
        });
        account.weight = weight.max(1);
        account.waiting.push_back((id, item));
        self.count += 1;
    }

    /// Takes a request out, if it waits.
    pub fn remove(&mut self, account_id: u64, id: u64) -> Option<T> {
        let account = self.accounts.get_mut(&account_id)?;
        let at = account.waiting.binary_search_by_key(&id, |each| each.0);
        let (_, item) = account.waiting.remove(at.ok()?)?;
        if account.waiting.is_empty() {
            self.accounts.remove(&account_id);
        }
        self.count -= 1;
        Some(item)
    }

    /// Takes everyone out.
    pub fn drain(&mut self) -> Vec<T> {
        self.count = 0;
        let accounts = std::mem::take(&mut self.accounts).into_values();
        accounts
            .flat_map(|account| account.waiting)
            .map(|(_, item)| item)
            .collect()
    }

    /// Whose turn it is among those for whom there is a place: of the account that was served
    /// least, the request that came first. Equals go in the order they came. `fits` is told what
    /// the account was served.
    pub fn next(
        &self,
        served: impl Fn(u64) -> u64,
        mut fits: impl FnMut(u64, &T) -> bool,
    ) -> Option<Next> {
        let mut best: Option<Next> = None;
        for (account_id, account) in &self.accounts {
            let served = served(*account_id);
            let is_later =
                |id: &u64| best.is_some_and(|best| (best.served, best.id) <= (served, *id));
            if account.waiting.front().is_none_or(|(id, _)| is_later(id)) {
                continue;
            }
            let first = account.waiting.iter().find(|(_, item)| fits(served, item));
            if let Some((id, _)) = first.filter(|(id, _)| !is_later(id)) {
                best = Some(Next {
                    account_id: *account_id,
                    id: *id,
                    served,
                    weight: account.weight,
                });
            }
        }
        best
    }

    /// What a request that waits brought with it.
    pub fn get(&self, next: Next) -> Option<&T> {
        let account = self.accounts.get(&next.account_id)?;
        let at = account
            .waiting
            .binary_search_by_key(&next.id, |each| each.0);
        account.waiting.get(at.ok()?).map(|(_, item)| item)
    }

    /// All who wait, with their accounts.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.accounts
            .iter()
            .flat_map(|(id, account)| account.waiting.iter().map(|(_, item)| (*id, item)))
    }
}
