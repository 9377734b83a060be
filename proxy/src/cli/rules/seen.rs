//! What an edge made of each request: its status, and what its request log says fired.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use portcullis_rulesets::RuleSet;
use portcullis_rulesets::ftw::Seen;
use serde_json::Value;

use super::over_http::Answer;
use crate::cli::Failed;

/// How often the log is looked at, and how many times: the edge writes it behind the answers.
const LOG_EVERY: Duration = Duration::from_millis(100);
const LOG_LOOKS_MAX: u32 = 100;

/// Statuses by which a server refuses what is no request for it, whatever the rules would say.
const REFUSALS: &[u16] = &[400, 405, 408, 411, 414, 415, 417, 421, 431, 501, 505];

/// By request id, what fired.
pub(super) type Fired = BTreeMap<String, Logged>;

/// What a line of the log says of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Logged {
    /// The rules that fired.
    ids: Vec<u32>,
    /// Of some, a field that they matched, in SecLang's spelling.
    fields: Vec<(u32, String)>,
}

/// The request log of an edge, from where it ended when it was opened.
pub(super) struct Log {
    path: PathBuf,
    from: u64,
}

/// Puts together what is known of one request.
pub(super) fn of(answer: &Answer, fired: Option<&Fired>, set: &RuleSet) -> Seen {
    let refused = answer.status.is_none_or(|status| REFUSALS.contains(&status));
    let own = |fired: &Fired| {
        let id = answer.request_id.as_ref();
        id.and_then(|id| fired.get(id)).cloned().unwrap_or_default()
    };
    let logged = fired.map(own);
    let log = logged.as_ref().map(|logged| log_text(logged, set));
    let fired = logged.map(|logged| logged.ids);
    Seen { fired, log, refused, blocked: answer.status == Some(403) }
}

/// What a server's error log would say of these rules, as far as an edge's tells it: no values.
fn log_text(logged: &Logged, set: &RuleSet) -> Vec<u8> {
    let rules = set.program().rules();
    let infos = rules.iter().filter(|info| logged.ids.contains(&info.id));
    let messages = infos.map(|info| format!("[id \"{}\"] [msg \"{}\"]\n", info.id, info.msg));
    let fields = logged.fields.iter();
    let fields = fields.map(|(id, name)| format!("[id \"{id}\"] [data \"found within {name}\"]\n"));
    messages.chain(fields).collect::<String>().into_bytes()
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
                fired.insert(id.to_owned(), logged(&line));
            }
        }
        Ok(fired)
    }
}

/// The rules that every policy rule of a line names as its reasons, and those that matched in the answer.
fn logged(line: &Value) -> Logged {
    let Some(payload) = line.get("jsonPayload") else { return Logged::default() };
    let single = ["enforcedSecurityPolicy", "previewSecurityPolicy"];
    let single = single.iter().filter_map(|name| payload.get(name));
    let hits: Vec<&Value> = single.chain(items(payload, "morePreviews")).collect();
    let names = hits.iter().flat_map(|hit| items(hit, "preconfiguredExprIds"));
    let names = names.filter_map(Value::as_str);
    let of_answer = items(payload, "answerRules").filter_map(number);
    let mut ids: Vec<u32> = names.filter_map(id_in).chain(of_answer).collect();
    ids.sort_unstable();
    ids.dedup();
    let fields = hits.iter().flat_map(|hit| items(hit, "matches")).filter_map(field);
    Logged { ids, fields: fields.collect() }
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn number(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// A rule, and a field that it matched, in SecLang's spelling.
fn field(matched: &Value) -> Option<(u32, String)> {
    let text = |name: &str| matched.get(name).and_then(Value::as_str);
    let kind = text("fieldType")?;
    let collection = match kind {
        "ARG_VALUES" => "ARGS",
        "ARG_NAMES" => "ARGS_NAMES",
        "HEADER_VALUES" => "REQUEST_HEADERS",
        "COOKIE_VALUES" => "REQUEST_COOKIES",
        other => other,
    };
    Some((number(matched.get("id")?)?, format!("{collection}:{}", text("fieldName")?)))
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
    use portcullis_rulesets::Source;

    use super::*;

    #[test]
    fn a_line_of_the_log_says_what_fired() {
        let line: Value = serde_json::from_str(
            r#"{"requestId":"r1","jsonPayload":{
                "enforcedSecurityPolicy":{"preconfiguredExprIds":["owasp-crs-v042200-id942100-sqli"]},
                "previewSecurityPolicy":{"preconfiguredExprIds":["owasp-crs-v042200-id941110-xss","portcullis-core-id9500100-xss"],
                    "matches":[{"id":941110,"fieldType":"ARG_VALUES","fieldName":"q"}]},
                "answerRules":[951120],
                "morePreviews":[{"preconfiguredExprIds":["owasp-crs-v042200-id942100-sqli"]},{}]}}"#,
        )
        .unwrap();
        let logged_line = logged(&line);
        assert_eq!(logged_line.ids, [941_110, 942_100, 951_120, 9_500_100]);
        assert_eq!(logged_line.fields, [(941_110, "ARGS:q".to_owned())]);
        assert_eq!(logged(&Value::Null), Logged::default());
    }

    #[test]
    fn a_status_tells_a_refusal_of_the_server_from_one_of_the_rules() {
        let answer = |status| Answer { status, request_id: Some("r1".to_owned()) };
        let fired = Fired::from([("r1".to_owned(), Logged { ids: vec![1], ..Logged::default() })]);
        let set = RuleSet::load("core", &Source::Builtin("core".to_owned()), 1).unwrap().set;
        for (status, refused, blocked) in [
            (None, true, false),
            (Some(400), true, false),
            (Some(403), false, true),
            (Some(200), false, false),
        ] {
            let seen = of(&answer(status), Some(&fired), &set);
            assert_eq!((seen.refused, seen.blocked), (refused, blocked), "{status:?}");
            assert_eq!(seen.fired, Some(vec![1]));
        }
        assert_eq!(of(&answer(Some(200)), None, &set).fired, None);
        let info = set.program().rules().iter().find(|info| !info.msg.is_empty()).unwrap();
        let matched = Logged { ids: vec![info.id], fields: vec![(info.id, "ARGS:q".to_owned())] };
        let log = String::from_utf8(log_text(&matched, &set)).unwrap();
        let (id, msg) = (info.id, &info.msg);
        assert_eq!(
            log,
            format!(
                "[id \"{id}\"] [msg \"{msg}\"]\n[id \"{id}\"] [data \"found within ARGS:q\"]\n"
            )
        );
    }
}
