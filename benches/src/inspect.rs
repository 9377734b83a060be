//! The engine in process: rules compiled, one request inspected, processor time told.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use seclang::{Outcome, Program, Transaction};

use crate::request_file::RequestFile;
use crate::rule_files::RuleFiles;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Compiles a SecLang file and what it includes.
///
/// # Errors
/// When it cannot be read, or the rules have errors.
pub fn compile(rules: &Path) -> io::Result<Arc<Program>> {
    compile_text(&rules.display().to_string(), &fs::read_to_string(rules)?)
}

/// Compiles rule text whose paths start from the file `name`.
///
/// # Errors
/// When the rules have errors.
pub fn compile_text(name: &str, text: &str) -> io::Result<Arc<Program>> {
    let compiled = Program::compile(name, text, &RuleFiles).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        io::Error::other(lines.join("\n"))
    })?;
    Ok(Arc::new(compiled.program))
}

/// Runs phases 1 and 2; returns whether the request was refused.
pub fn inspect(transaction: &mut Transaction, request: &RequestFile) -> bool {
    transaction.connection(CLIENT, 40_000, SERVER, 443);
    transaction.request_line(&request.method, &request.uri, b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.request_header(name, value);
    }
    if transaction.request_headers() == Outcome::Interrupted {
        return true;
    }
    if !request.body.is_empty() && transaction.request_body(&request.body) == Outcome::Interrupted {
        return true;
    }
    transaction.request_body_end() == Outcome::Interrupted
}

/// Seconds that this process was on a processor, with the kernel's nanosecond counter.
///
/// # Errors
/// When the kernel does not tell.
pub fn cpu_seconds() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanos: Option<f64> = text.split(' ').next().and_then(|field| field.parse().ok());
    nanos
        .map(|nanos| nanos / 1e9)
        .ok_or_else(|| io::Error::other("/proc/self/schedstat is not as expected"))
}

/// The resident memory of this process in bytes.
///
/// # Errors
/// When the kernel does not tell.
pub fn resident_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS"))
}
