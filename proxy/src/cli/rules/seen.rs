//! What an edge made of each request: its status, and what its request log says fired.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use portcullis_rulesets::ftw::Seen;
use serde_json::Value;

use super::over_http::Answer;
use crate::cli::Failed;

/// How often the log is looked at, and how many times: the edge writes it behind the answers.
const LOG_EVERY: Duration = Duration::from_millis(100);
const LOG_LOOKS_MAX: u32 = 100;

/// Statuses by which a server refuses what is no request for it, whatever the rules would say.
const REFUSALS: &[u16] = &[400, 405, 408, 411, 414, 415, 417, 421, 431, 501, 505];

/// By request id, the rules that fired.
pub(super) type Fired = BTreeMap<String, Vec<u32>>;

/// The request log of an edge, from where it ended when it was opened.
pub(super) struct Log {
    path: PathBuf,
    from: u64,
}

/// Puts together what is known of one request.
pub(super) fn of(answer: &Answer, fired: Option<&Fired>) -> Seen {
    let refused = answer.status.is_none_or(|status| REFUSALS.contains(&status));
    let own = |fired: &Fired| {
        let id = answer.request_id.as_ref();
        id.and_then(|id| fired.get(id)).cloned().unwrap_or_default()
    };
    Seen { fired: fired.map(own), log: None, refused, blocked: answer.status == Some(403) }
}

impl Log {
    pub(super) fn open(path: &Path) -> Result<Self, Failed> {
        let length = std::fs::metadata(path).map(|file| file.len());
        let from = length.map_err(|error| unreadable(path, &error))?;
        Ok(Self { path: path.to_owned(), from })
    }

    /// Waits until the log names the last of the requests, and reads what fired for each.
    pub(super) fn read(&self, answers: &[Answer]) -> Result<Fired, Failed> {
        let wanted: BTreeSet<&str> =
            answers.iter().filter_map(|answer| answer.request_id.as_deref()).collect();
        let mut missing = wanted.len();
        for _ in 0..LOG_LOOKS_MAX {
            let fired = self.parse().map_err(|error| unreadable(&self.path, &error))?;
            missing = wanted.iter().filter(|id| !fired.contains_key(**id)).count();
            if missing == 0 {
                return Ok(fired);
            }
            thread::sleep(LOG_EVERY);
        }
        let path = self.path.display();
        Err(Failed::Said(format!(
            "error: `{path}` says nothing of {missing} requests\n  help: name the file of the edge's `log.requests`"
        )))
    }

    fn parse(&self) -> std::io::Result<Fired> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut fired = Fired::new();
        for line in BufReader::new(file).split(b'\n') {
            // The last line may be half written.
            let Ok(line) = serde_json::from_slice::<Value>(&line?) else { continue };
            if let Some(id) = line.get("requestId").and_then(Value::as_str) {
                fired.insert(id.to_owned(), ids_of(&line));
            }
        }
        Ok(fired)
    }
}

/// The rules that every policy rule of a line names as its reasons.
fn ids_of(line: &Value) -> Vec<u32> {
    let Some(payload) = line.get("jsonPayload") else { return Vec::new() };
    let single = ["enforcedSecurityPolicy", "previewSecurityPolicy"];
    let single = single.iter().filter_map(|name| payload.get(name));
    let more = payload.get("morePreviews").and_then(Value::as_array).into_iter().flatten();
    let names = single.chain(more).filter_map(|hit| hit.get("preconfiguredExprIds"));
    let names = names.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let mut ids: Vec<u32> = names.filter_map(id_in).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The number in `owasp-crs-v042200-id942100-sqli`.
fn id_in(name: &str) -> Option<u32> {
    let (_, rest) = name.split_once("-id")?;
    rest.split('-').next()?.parse().ok()
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failed {
    Failed::Said(format!("error: `{}` cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_says_what_fired() {
        let line: Value = serde_json::from_str(
            r#"{"requestId":"r1","jsonPayload":{
                "enforcedSecurityPolicy":{"preconfiguredExprIds":["owasp-crs-v042200-id942100-sqli"]},
                "previewSecurityPolicy":{"preconfiguredExprIds":["owasp-crs-v042200-id941110-xss","portcullis-core-id9500100-xss"]},
                "morePreviews":[{"preconfiguredExprIds":["owasp-crs-v042200-id942100-sqli"]},{}]}}"#,
        )
        .unwrap();
        assert_eq!(ids_of(&line), [941_110, 942_100, 9_500_100]);
        assert_eq!(ids_of(&Value::Null), [0; 0]);
    }

    #[test]
    fn a_status_tells_a_refusal_of_the_server_from_one_of_the_rules() {
        let answer = |status| Answer { status, request_id: Some("r1".to_owned()) };
        let fired = Fired::from([("r1".to_owned(), vec![1])]);
        for (status, refused, blocked) in [
            (None, true, false),
            (Some(400), true, false),
            (Some(403), false, true),
            (Some(200), false, false),
        ] {
            let seen = of(&answer(status), Some(&fired));
            assert_eq!((seen.refused, seen.blocked), (refused, blocked), "{status:?}");
            assert_eq!(seen.fired, Some(vec![1]));
        }
        assert_eq!(of(&answer(Some(200)), None).fired, None);
    }
}
