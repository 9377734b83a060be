//! Child processes whose processor time is read, and which end with their owner.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

/// The kernel's clock ticks per second in `/proc/PID/stat`: fixed at 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running child; dropped, it is ended and reaped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts the command.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Processor seconds that the process and its direct children (nginx's workers) have used.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds_with_children(self.0.id())
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended, and how.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first, so that nginx takes its workers along.
        let asked = terminate(self.0.id());
        for _ in 0..50 {
            if asked.is_err() || self.has_ended() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks a process to end.
///
/// # Errors
/// When there is no such process.
pub fn terminate(pid: u32) -> io::Result<()> {
    let status = Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("no process {pid}"))) }
}

/// The resident memory of a process, in MiB.
///
/// # Errors
/// When there is no such process.
pub fn resident_mib(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Processor seconds that a process and its direct children have used; of those that ended nothing is counted.
pub fn cpu_seconds_with_children(pid: u32) -> f64 {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.chain([pid]).map(cpu_seconds_of).sum()
}

/// Processor seconds that a process has used.
pub fn cpu_seconds_of(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the program's name in parentheses and may hold blanks.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// An address of the loopback interface whose port was free a moment ago.
///
/// # Errors
/// When the kernel gives none.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Waits up to ten seconds until somebody accepts connections at the address.
///
/// # Errors
/// When nobody did.
pub fn wait_until_accepting(address: SocketAddr) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..500 {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(last)
}
