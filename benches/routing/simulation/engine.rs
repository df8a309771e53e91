//! One engine as the gateway would meet it: steps that mix chunks of prompts with a token for each
//! running answer, a bound on running answers, and a prefix cache that forgets what was used least
//! recently. Figures are of the order of an 8B model on one large GPU.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::FixedState;
use tokenmill_core::routing::{Load, Recent};

use super::traces::Turn;

/// Tokens of a block of the cache; a token is taken for four bytes of text.
pub const BLOCK_TOKENS: u64 = 64;
/// Tokens of one step.
const STEP_TOKENS: u64 = 2_048;
/// Answers that run at once.
const RUNNING_MAX: usize = 128;
/// Blocks of the cache: 192,000 tokens.
const CACHE_BLOCKS: usize = 3_000;

const STEP_US: u64 = 8_000;
const PROMPT_TOKEN_US: u64 = 60;
const ANSWER_TOKEN_US: u64 = 50;

/// A request at an engine.
pub struct Job {
    pub session: usize,
    pub arrived_us: u64,
    pub answer_tokens: u64,
    /// Of the prompt, found in the cache when it was begun.
    pub cached_tokens: u64,
    /// Of the prompt, that whoever picked the engine thought not to be in the cache.
    missing_bytes: u64,
    turn: Turn,
    computed_tokens: u64,
    made_tokens: u64,
}

impl Job {
    pub fn new(session: usize, turn: Turn, arrived_us: u64) -> Self {
        Self {
            session,
            arrived_us,
            answer_tokens: turn.answer_tokens,
            cached_tokens: 0,
            missing_bytes: 0,
            turn,
            computed_tokens: 0,
            made_tokens: 0,
        }
    }

    pub fn prompt_tokens(&self) -> u64 {
        self.turn.prompt.len() as u64 * BLOCK_TOKENS
    }

    fn missing_tokens(&self) -> u64 {
        self.prompt_tokens() - self.computed_tokens
    }
}

#[derive(Default)]
pub struct Engine {
    waiting: VecDeque<Job>,
    running: Vec<Job>,
    cache: Cache,
    /// What the gateway counts: bytes thought to be missing, before the first token and of late.
    unread_bytes: u64,
    recent: Recent,
    /// Tokens of each running job in the step that goes on, in order; empty between steps.
    step: Vec<u64>,
}

impl Engine {
    /// Requests it has, begun or not.
    pub fn requests(&self) -> u64 {
        (self.waiting.len() + self.running.len()) as u64
    }

    /// Its load as a gateway knows it that sees all of its requests and nothing else.
    pub fn load(&self, now_us: u64) -> Load {
        Load {
            in_flight: self.requests(),
            unread_bytes: self.unread_bytes,
            recent_bytes: self.recent.bytes(now_us / 1_000),
            ..Load::default()
        }
    }

    /// Takes a job of which so much is thought to be missing in the cache.
    pub fn take(&mut self, job: Job, missing_bytes: u64) {
        self.unread_bytes += missing_bytes;
        self.recent = self.recent.after(missing_bytes, job.arrived_us / 1_000);
        self.waiting.push_back(Job {
            missing_bytes,
            ..job
        });
    }

    /// Begins a step, unless one goes on or there is nothing to do; when it ends.
    pub fn begin_step(&mut self, now_us: u64) -> Option<u64> {
        if !self.step.is_empty() {
            return None;
        }
        while self.running.len() < RUNNING_MAX
            && let Some(mut job) = self.waiting.pop_front()
        {
            let cached = self.cache.find(&job.turn.prompt) * BLOCK_TOKENS;
            // The last token is computed always: the answer begins with it.
            job.cached_tokens = cached.min(job.prompt_tokens() - 1);
            job.computed_tokens = job.cached_tokens;
            self.running.push(job);
        }
        let mut left = STEP_TOKENS;
        let (mut prompt_tokens, mut answers) = (0, 0);
        for job in &self.running {
            let is_answering = job.missing_tokens() == 0;
            let tokens = if is_answering {
                1
            } else {
                job.missing_tokens().min(left)
            };
            left = left.saturating_sub(tokens);
            self.step.push(tokens);
            *(if is_answering {
                &mut answers
            } else {
                &mut prompt_tokens
            }) += tokens;
        }
        let lasts_us = STEP_US + prompt_tokens * PROMPT_TOKEN_US + answers * ANSWER_TOKEN_US;
        (!self.running.is_empty()).then(|| now_us + lasts_us)
    }

    /// Ends it: `first` is told of jobs that made their first token; those that are done go.
    pub fn end_step(&mut self, mut first: impl FnMut(&Job)) -> Vec<Job> {
        let mut done = Vec::new();
        let steps = std::mem::take(&mut self.step);
        for (mut job, tokens) in std::mem::take(&mut self.running).into_iter().zip(steps) {
            if job.missing_tokens() > 0 {
                job.computed_tokens += tokens;
                if job.missing_tokens() == 0 {
                    self.cache.keep(&job.turn.prompt);
                    self.unread_bytes -= job.missing_bytes;
                    first(&job);
                    job.made_tokens = 1;
                }
            } else {
                job.made_tokens += 1;
            }
            if job.made_tokens >= job.answer_tokens {
                self.cache.keep(&job.turn.whole);
                done.push(job);
            } else {
                self.running.push(job);
            }
        }
        done
    }
}

/// Blocks by their chained hashes; the least recently used go first.
#[derive(Default)]
struct Cache {
    used: HashMap<u64, u64, FixedState>,
    order: VecDeque<(u64, u64)>,
    clock: u64,
}

impl Cache {
    /// How many of the first blocks are there.
    fn find(&self, blocks: &Arc<[u64]>) -> u64 {
        blocks
            .iter()
            .take_while(|block| self.used.contains_key(block))
            .count() as u64
    }

    fn keep(&mut self, blocks: &Arc<[u64]>) {
        // From the end: of one text the end is forgotten before the beginning.
        for block in blocks.iter().rev() {
            self.clock += 1;
            self.used.insert(*block, self.clock);
            self.order.push_back((*block, self.clock));
        }
        while self.used.len() > CACHE_BLOCKS
            && let Some((block, used)) = self.order.pop_front()
        {
            if self.used.get(&block) == Some(&used) {
                self.used.remove(&block);
            }
        }
    }
}
