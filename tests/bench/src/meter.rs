//! The kernel's figures about a thread or a process.

use std::fs;
use std::time::Duration;

/// Processor time of this thread so far. Everything that the front runtime drives runs on the
/// thread that asks, and nothing of the emulators does.
pub(crate) fn thread_cpu() -> Duration {
    running(&fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default())
}

/// Processor time of all threads of a process so far.
pub(crate) fn process_cpu(id: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
        return Duration::ZERO;
    };
    threads
        .flatten()
        .map(|thread| {
            running(&fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default())
        })
        .sum()
}

/// The most memory that a process held at once, in megabytes.
pub(crate) fn peak_memory(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u32 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(f64::from(kilobytes) * 1024.0 / 1e6)
}

/// `schedstat` begins with the nanoseconds that a thread ran.
fn running(schedstat: &str) -> Duration {
    let first = schedstat
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok());
    Duration::from_nanos(first.unwrap_or_default())
}

/// Milliseconds, with their fraction.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
