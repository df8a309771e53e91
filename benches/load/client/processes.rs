//! Processor time and memory of other processes, as the kernel counts them. Linux only.

use std::fs;

/// Groups of processes that are looked at, by name.
pub struct Watched(Vec<(String, Vec<String>)>);

/// What one group has used.
#[derive(Debug, Clone, Default)]
pub struct Use {
    pub name: String,
    /// Nanoseconds on a processor, all threads.
    pub cpu_ns: u64,
    /// Resident kilobytes, now.
    pub resident_kb: u64,
}

impl Watched {
    /// The groups of arguments such as `gateway:12,13`, and this process as `client`.
    pub fn of(arguments: &[String]) -> Self {
        let group = |text: &String| {
            let (name, pids) = text.split_once(':').unwrap_or((text, ""));
            let pids = pids.split(',').map(str::to_owned).collect();
            (name.to_owned(), pids)
        };
        let mut groups: Vec<_> = arguments.iter().map(group).collect();
        groups.push(("client".to_owned(), vec!["self".to_owned()]));
        Self(groups)
    }

    pub fn read(&self) -> Vec<Use> {
        self.0
            .iter()
            .map(|(name, pids)| Use {
                name: name.clone(),
                cpu_ns: pids.iter().map(|pid| cpu_ns(pid)).sum(),
                resident_kb: pids.iter().map(|pid| resident_kb(pid)).sum(),
            })
            .collect()
    }
}

/// The first number of each thread's `schedstat`.
fn cpu_ns(pid: &str) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

fn resident_kb(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}
