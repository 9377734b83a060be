//! Single values: text, switches, numbers, durations, sizes, addresses, networks, paths, choices.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Context;
use super::fields::list;
use crate::diagnostic::Diagnostic;
use crate::yaml::{Node, Value};

/// The bytes of a Unix socket's path, without the closing zero of `sun_path`.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// The longest text of one value that is not a path.
const TEXT_BYTES_MAX: usize = 2048;

/// Units of durations with their milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Units of sizes with their bytes.
const SIZE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads text that is not empty and holds no control character.
pub(super) fn text<'n>(node: &'n Node, cx: &mut Context<'_>) -> Option<&'n str> {
    let Value::Scalar { text, .. } = &node.value else {
        cx.error(
            "wrong-kind",
            format!("a plain value is expected here, not {}", node.kind()),
            node.value_place(),
        );
        return None;
    };
    if text.is_empty() {
        let empty = Diagnostic::error("wrong-value", "the value is empty")
            .help("leave the key out to have none");
        cx.report(empty, node.place());
        return None;
    }
    if text.chars().any(char::is_control) || text.len() > TEXT_BYTES_MAX {
        cx.error(
            "wrong-value",
            "a value is one line of at most 2 KiB, without control characters",
            node.value_place(),
        );
        return None;
    }
    Some(text)
}

/// Reads `true` or `false`.
pub(super) fn switch(node: &Node, cx: &mut Context<'_>) -> Option<bool> {
    choice(node, cx, &[("true", true), ("false", false)])
}

/// Reads one of the words.
pub(super) fn choice<T: Clone>(
    node: &Node,
    cx: &mut Context<'_>,
    words: &[(&str, T)],
) -> Option<T> {
    let written = text(node, cx)?;
    if let Some((_, meant)) = words.iter().find(|(word, _)| *word == written) {
        return Some(meant.clone());
    }
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let wrong = unknown("unknown-value", format!("`{written}` is not known here"), written, &names);
    cx.report(wrong, node.value_place());
    None
}

/// Makes the error for a word that is none of `known`, with the nearest or all of them as advice.
pub(super) fn unknown(
    code: &'static str,
    message: String,
    word: &str,
    known: &[&str],
) -> Diagnostic {
    let wrong = Diagnostic::error(code, message).suggest(word, known.iter().copied());
    match known {
        _ if wrong.help.is_some() => wrong,
        [] => wrong,
        [one] => wrong.help(format!("it can be `{one}`")),
        several => wrong.help(format!("it can be one of {}", list(several))),
    }
}

/// Reads a whole number in a range.
pub(super) fn number(
    range: RangeInclusive<u32>,
) -> impl FnOnce(&Node, &mut Context<'_>) -> Option<u32> {
    move |node, cx| {
        let written = text(node, cx)?;
        let digits = written.bytes().all(|byte| byte.is_ascii_digit());
        match written.parse::<u32>() {
            Ok(number) if digits && range.contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let message = format!(
                    "`{written}` is not a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                cx.error("wrong-value", message, node.value_place());
                None
            }
        }
    }
}

/// Reads a duration with its unit, in a range that is written the same way.
pub(super) fn duration(
    least: &'static str,
    most: &'static str,
) -> impl FnOnce(&Node, &mut Context<'_>) -> Option<Duration> {
    move |node, cx| {
        let example = "write a number with a unit: `500ms`, `30s`, `5m`, `24h` or `7d`";
        in_range(node, cx, "a duration", &DURATION_UNITS, example, least, most)
            .map(Duration::from_millis)
    }
}

/// Reads a size with its unit, in a range that is written the same way.
pub(super) fn size(
    least: &'static str,
    most: &'static str,
) -> impl FnOnce(&Node, &mut Context<'_>) -> Option<u64> {
    move |node, cx| {
        let example = "write a number with a unit: `512B`, `64KiB`, `1MiB` or `2GiB`";
        in_range(node, cx, "a size", &SIZE_UNITS, example, least, most)
    }
}

fn in_range(
    node: &Node,
    cx: &mut Context<'_>,
    what: &str,
    units: &[(&str, u64)],
    example: &str,
    least: &str,
    most: &str,
) -> Option<u64> {
    let written = text(node, cx)?;
    let Some(amount) = with_unit(written, units) else {
        let wrong =
            Diagnostic::error("wrong-value", format!("`{written}` is not {what}")).help(example);
        cx.report(wrong, node.value_place());
        return None;
    };
    let (low, high) = (with_unit(least, units)?, with_unit(most, units)?);
    if (low..=high).contains(&amount) {
        return Some(amount);
    }
    let message = format!("`{written}` is out of range: {what} from {least} to {most} is expected");
    cx.error("out-of-range", message, node.value_place());
    None
}

/// A whole number directly followed by a unit; `None` also when it does not fit.
fn with_unit(written: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = written.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Reads an address with its port.
pub(super) fn address(node: &Node, cx: &mut Context<'_>) -> Option<SocketAddr> {
    let written = text(node, cx)?;
    if let Ok(address) = written.parse() {
        return Some(address);
    }
    let wrong =
        Diagnostic::error("wrong-value", format!("`{written}` is not an address with a port"))
            .help("write `0.0.0.0:443`, `127.0.0.1:9443` or `[::]:443`");
    cx.report(wrong, node.value_place());
    None
}

/// Splits `HOST:PORT`: a name, an IPv4 address, or an IPv6 address in brackets, which are taken off.
pub(super) fn host_and_port(written: &str) -> Option<(String, u16)> {
    let (host, port) = written.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(v6) = bracketed {
        return v6.parse::<std::net::Ipv6Addr>().ok().map(|_| (v6.to_owned(), port));
    }
    let is_name = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    is_name.then(|| (host.to_owned(), port))
}

/// Reads a network; one address is a network of its own.
pub(super) fn network(node: &Node, cx: &mut Context<'_>) -> Option<IpNet> {
    let written = text(node, cx)?;
    let read = written
        .parse::<IpNet>()
        .ok()
        .or_else(|| written.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    let Some(network) = read else {
        let wrong = Diagnostic::error("wrong-value", format!("`{written}` is not a network"));
        cx.report(
            wrong.help("write `10.0.0.0/8`, `2001:db8::/32` or one address"),
            node.value_place(),
        );
        return None;
    };
    if network.trunc() != network {
        let wrong =
            Diagnostic::error("wrong-value", format!("`{written}` has bits set behind its prefix"));
        cx.report(wrong.help(format!("did you mean `{}`?", network.trunc())), node.value_place());
        return None;
    }
    Some(network)
}

/// Reads the networks whose word about a client's address is believed: some, never all.
pub(super) fn trusted_networks(node: &Node, cx: &mut Context<'_>) -> Option<Vec<IpNet>> {
    items(node, cx, |node, cx| {
        let network = network(node, cx)?;
        if network.prefix_len() == 0 {
            let refused = Diagnostic::error(
                "trusts-everyone",
                format!("`{network}` would let every client choose its address"),
            );
            cx.report(
                refused.help("name the networks of your own load balancers"),
                node.value_place(),
            );
            return None;
        }
        Some(network)
    })
}

/// Reads a path, relative to the file's directory; `file:` may stand before it.
pub(super) fn path(node: &Node, cx: &mut Context<'_>) -> Option<PathBuf> {
    let written = text(node, cx)?;
    let path = written.strip_prefix("file:").unwrap_or(written);
    if path.is_empty() {
        cx.error("wrong-value", "the path is empty", node.value_place());
        return None;
    }
    Some(cx.base.join(path).components().collect())
}

/// Reads the path of a Unix socket.
pub(super) fn socket(node: &Node, cx: &mut Context<'_>) -> Option<PathBuf> {
    let path = path(node, cx)?;
    check_socket(&path, node, cx).then_some(path)
}

/// Says whether a Unix socket can stand at `path`; reports a path that is too long.
pub(super) fn check_socket(path: &std::path::Path, node: &Node, cx: &mut Context<'_>) -> bool {
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        let message = format!(
            "the path of a Unix socket has at most {SOCKET_PATH_BYTES_MAX} bytes, this one has {bytes}"
        );
        cx.error("socket-path-too-long", message, node.value_place());
    }
    bytes <= SOCKET_PATH_BYTES_MAX
}

/// Reads the path of a URL: absolute, plain, without empty or dot segments, query and fragment.
pub(super) fn url_path(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let written = text(node, cx)?;
    let problem = if !written.starts_with('/') {
        "has to begin with `/`"
    } else if written.bytes().any(|byte| {
        !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#' | b'%' | b'\\' | b'*' | b';')
    }) {
        "is plain ASCII without spaces and any of `? # % * ; \\`"
    } else if written.contains("//")
        || written.split('/').any(|segment| matches!(segment, "." | ".."))
    {
        "has no empty and no dot segments"
    } else {
        return Some(written.to_owned());
    };
    cx.error("wrong-value", format!("the path `{written}` {problem}"), node.value_place());
    None
}

/// Says whether a text is the name of a header: a token of RFC 9110.
pub(super) fn is_header_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Decodes every item of a list, each with all its problems; `None` if it is no list or an item is wrong.
pub(super) fn items<T>(
    node: &Node,
    cx: &mut Context<'_>,
    mut decode: impl FnMut(&Node, &mut Context<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::List(items) = &node.value else {
        cx.error(
            "wrong-kind",
            format!("a list is expected here, not {}", node.kind()),
            node.value_place(),
        );
        return None;
    };
    let decoded: Vec<_> = items.iter().map(|item| decode(item, cx)).collect();
    decoded.into_iter().collect()
}

/// Like [`items`], and the list has at least one.
pub(super) fn some_items<T>(
    node: &Node,
    cx: &mut Context<'_>,
    decode: impl FnMut(&Node, &mut Context<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = items(node, cx, decode)?;
    if items.is_empty() {
        cx.error("empty-list", "at least one is needed here", node.place());
        return None;
    }
    Some(items)
}

/// Decodes every value of a mapping by name, each with all its problems.
pub(super) fn named<T>(
    node: &Node,
    cx: &mut Context<'_>,
    mut decode: impl FnMut(&str, &Node, &mut Context<'_>) -> Option<T>,
) -> Option<std::collections::BTreeMap<String, T>> {
    let Value::Map(entries) = &node.value else {
        cx.error(
            "wrong-kind",
            format!("a mapping by name is expected here, not {}", node.kind()),
            node.value_place(),
        );
        return None;
    };
    let decoded: Vec<_> = entries
        .iter()
        .map(|entry| {
            let named = is_name(&entry.key);
            if !named {
                let wrong = Diagnostic::error("wrong-name", format!("`{}` is not a name", entry.key));
                cx.report(wrong.help("a name is 1 to 63 letters, digits, `-`, `_` or `.`, and begins with a letter or digit"), entry.span.clone());
            }
            decode(&entry.key, &entry.node, cx).filter(|_| named).map(|value| (entry.key.clone(), value))
        })
        .collect();
    decoded.into_iter().collect()
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("30", None),
            ("s", None),
            ("", None),
            ("30 s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("30sec", None),
            ("30S", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(with_unit(text, &DURATION_UNITS), expected, "{text}");
        }
        for (text, expected) in [
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("1MiB", Some(1_048_576)),
            ("2GiB", Some(2_147_483_648)),
            ("1MB", None),
            ("1M", None),
            ("1mib", None),
            ("1024", None),
        ] {
            assert_eq!(with_unit(text, &SIZE_UNITS), expected, "{text}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for (text, expected) in [
            ("license-api", true),
            ("a", true),
            ("v3.3_x", true),
            ("", false),
            ("-a", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_name(text), expected, "{text}");
        }
        assert!(is_name(&"a".repeat(63)));
        assert!(!is_name(&"a".repeat(64)));
    }
}
