//! What one run found, as a line of JSON.

use std::fmt;

use crate::processes::Use;

/// One run's findings. Counts are answers, events and body bytes.
pub struct Report {
    pub seconds: f64,
    pub before: ([u64; 3], Vec<Use>),
    pub after: ([u64; 3], Vec<Use>),
    pub different: u64,
    /// Sorted.
    pub times_us: Vec<u32>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [answers, events, bytes] = [0, 1, 2].map(|at| self.after.0[at] - self.before.0[at]);
        write!(
            out,
            "{{\"seconds\":{:.6},\"answers\":{answers},\"events\":{events},\"bytes\":{bytes},\
             \"different\":{},\"p50_us\":{},\"p99_us\":{},\"processes\":{{",
            self.seconds,
            self.different,
            self.percentile(50),
            self.percentile(99),
        )?;
        for (at, (before, after)) in self.before.1.iter().zip(&self.after.1).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let cpu_ns = after.cpu_ns.saturating_sub(before.cpu_ns);
            write!(
                out,
                "{comma}\"{}\":{{\"cpu_ns\":{cpu_ns},\"resident_kb\":{}}}",
                after.name, after.resident_kb
            )?;
        }
        write!(out, "}}}}")
    }
}

impl Report {
    fn percentile(&self, percent: usize) -> u32 {
        let last = self.times_us.len().saturating_sub(1);
        self.times_us
            .get(last * percent / 100)
            .copied()
            .unwrap_or(0)
    }
}
