//! How much memory the process may use, as the system says.

use std::fs;
use std::path::{Path, PathBuf};

/// What the system gives the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Available {
    /// How much.
    pub bytes: u64,
    /// Who says so.
    pub from: PathBuf,
}

/// Reads the smallest limit of the process's cgroup and those above it, or else the machine's memory; `None` where the
/// system says neither.
#[must_use]
pub fn available() -> Option<Available> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    of_cgroup(Path::new("/sys/fs/cgroup"), &own).or_else(of_machine)
}

/// Version 2: `0::/path`; every directory on the way may have a limit.
fn of_cgroup(root: &Path, own: &str) -> Option<Available> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let directory = root.join(path);
    directory
        .ancestors()
        .take_while(|at| at.starts_with(root))
        .map(|at| at.join("memory.max"))
        .filter_map(|from| {
            let bytes = fs::read_to_string(&from).ok()?.trim().parse().ok()?;
            Some(Available { bytes, from })
        })
        .min_by_key(|one| one.bytes)
}

fn of_machine() -> Option<Available> {
    let from = PathBuf::from("/proc/meminfo");
    let text = fs::read_to_string(&from).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Available { bytes: kib.saturating_mul(1024), from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(of_cgroup(root.path(), "0::/a/b\n"), None);
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("a/memory.max"), "1000\n").unwrap();
        fs::write(root.path().join("memory.max"), "2000\n").unwrap();
        let found = of_cgroup(root.path(), "1:x:/c\n0::/a/b\n").unwrap();
        assert_eq!((found.bytes, found.from), (1000, root.path().join("a/memory.max")));
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(of_machine().unwrap().bytes > 1 << 20);
    }
}
