//! All traces over fleets of several sizes under our policies and others'; how it is run stands in
//! `benches/README.md`. `--engines=8,32`: fleets of these sizes alone. `--seed=7`: other
//! requests of the same kinds.

mod simulation;

use std::io::Write;

use serde_json::json;
use simulation::Race;
use simulation::figures::Figures;
use simulation::pickers::{Ours, Picker};
use simulation::rivals::{CacheAware, LeastRequests, Random, RoundRobin};
use simulation::traces::{TRACES, Trace};
use tokenmill_core::routing::Policy;

const SEED: u64 = 20_260_101;
/// Words of the table of prefixes: what a house has by default.
const WORDS: usize = 8 * 32_768;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().find_map(|each| each.strip_prefix(name));
    let seed = given("--seed=").and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(SEED);
    let sizes: Vec<usize> = given("--engines=")
        .unwrap_or("8,32,128,1000")
        .split(',')
        .filter_map(|size| size.parse().ok())
        .collect();
    let mut out = std::io::stdout().lock();
    let mut rows = Vec::new();
    for engines in &sizes {
        for trace in &TRACES {
            writeln!(out, "\n{} over {engines} engines", trace.name)?;
            for (policy, mut picker) in pickers(*engines) {
                let trace = Trace {
                    seconds: seconds(trace, *engines),
                    ..*trace
                };
                let figures = Race::new(&trace, *engines, seed).run(picker.as_mut());
                print(&mut out, policy, &figures)?;
                rows.push(row(trace.name, *engines, policy, &figures));
            }
        }
    }
    match arguments.iter().find(|each| !each.starts_with("--")) {
        Some(path) => std::fs::write(path, serde_json::to_string_pretty(&rows)? + "\n"),
        None => Ok(()),
    }
}

/// A large fleet sees as many requests in a third of the time as one wants to wait for.
fn seconds(trace: &Trace, engines: usize) -> u64 {
    if engines < 500 {
        trace.seconds
    } else {
        trace.seconds / 3
    }
}

fn row(trace: &str, engines: usize, policy: &str, figures: &Figures) -> serde_json::Value {
    json!({
        "trace": trace,
        "engines": engines,
        "policy": policy,
        "requests": figures.requests,
        "p50_ms": figures.p50_ms,
        "p99_ms": figures.p99_ms,
        "tokens_per_s": figures.tokens_per_s,
        "hit_percent": figures.hit_percent,
        "imbalance": figures.imbalance,
    })
}

fn pickers(engines: usize) -> Vec<(&'static str, Box<dyn Picker>)> {
    let ours = |policy| boxed(Ours::new(policy, engines, WORDS));
    vec![
        ("prefix", ours(Policy::Prefix)),
        ("session", ours(Policy::Session)),
        ("power_of_two", ours(Policy::PowerOfTwo)),
        ("least requests", boxed(LeastRequests)),
        ("cache-aware as SGLang", boxed(CacheAware::default())),
        ("round robin", boxed(RoundRobin::default())),
        ("random", boxed(Random)),
    ]
}

fn boxed(picker: impl Picker + 'static) -> Box<dyn Picker> {
    Box::new(picker)
}

fn print(out: &mut impl Write, policy: &str, figures: &Figures) -> std::io::Result<()> {
    writeln!(
        out,
        "  {policy:22} p50 {:6.0} ms  p99 {:6.0} ms {:8.0} tokens/s  hits {:4.1} %  {:4.1} of {}",
        figures.p50_ms,
        figures.p99_ms,
        figures.tokens_per_s,
        figures.hit_percent,
        figures.imbalance,
        figures.requests,
    )
}
