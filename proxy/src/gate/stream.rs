//! Requests that become a stream of messages: an upgrade to WebSocket, or a call of gRPC. Only where the backend says so.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;
use portcullis_config::model::{Backend, Grpc, WebSocket};

use super::refusal::Refusal;
use crate::reason::Reason;

/// What a request asks to become.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// A WebSocket.
    WebSocket(WebSocket),
    /// A call of gRPC.
    Grpc(Grpc),
}

impl Stream {
    /// Finds out what a request to `backend` asks for; refuses what the backend does not do.
    pub(super) fn of(head: &RequestHeader, backend: &Backend) -> Result<Option<Self>, Refusal> {
        if names(&head.headers, &UPGRADE, "websocket") {
            let websocket = backend.websocket.ok_or(Refusal::of(Reason::UpgradeRefused))?;
            check_upgrade(head)?;
            return Ok(Some(Self::WebSocket(websocket)));
        }
        let Some(grpc) = backend.grpc else { return Ok(None) };
        if head.version != Version::HTTP_2 || !is_grpc(&head.headers) {
            return Err(Refusal::of(Reason::NotGrpc));
        }
        Ok(Some(Self::Grpc(grpc)))
    }

    /// How long it may last.
    pub(super) const fn timeout(&self) -> Duration {
        match self {
            Self::WebSocket(one) => one.timeout,
            Self::Grpc(one) => one.timeout,
        }
    }
}

/// Says whether a header that is a list of words has this one.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut words =
        headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    words.any(|one| one.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let rest = value.get(GRPC.len()..);
    value.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        && rest.is_none_or(|rest| rest.first().is_none_or(|next| b"+; ".contains(next)))
}

/// The opening handshake of RFC 6455, section 4.2.1. Whatever the origin might read in another way is refused.
fn check_upgrade(head: &RequestHeader) -> Result<(), Refusal> {
    let malformed = |detail| Err(Refusal::because(Reason::MalformedRequest, detail));
    if head.method != Method::GET || head.version != Version::HTTP_11 {
        return malformed("an upgrade to WebSocket is a GET of HTTP/1.1");
    }
    if head.headers.get_all(UPGRADE).iter().count() != 1
        || !names(&head.headers, &CONNECTION, "upgrade")
    {
        return malformed("Upgrade and Connection do not fit together");
    }
    let has_body = head.headers.contains_key(TRANSFER_ENCODING)
        || head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return malformed("an upgrade has a body");
    }
    let only = |name: HeaderName| {
        let mut values = head.headers.get_all(name).iter();
        let first = values.next();
        first.filter(|_| values.next().is_none())
    };
    if only(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return malformed("the version of WebSocket is not 13");
    }
    let nonce = only(SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    if nonce.is_none_or(|nonce| nonce.len() != 16) {
        return malformed("Sec-WebSocket-Key is not 16 bytes in base64");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn upgrade(changes: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-version", "13"),
        ] {
            head.insert_header(name, value).unwrap();
        }
        for (name, value) in changes {
            match *value {
                "" => drop(head.remove_header(*name)),
                value => {
                    head.append_header(*name, value).unwrap().then_some(()).map_or((), |()| ())
                }
            }
        }
        head
    }

    #[test]
    fn only_a_whole_handshake_passes() {
        assert_eq!(check_upgrade(&upgrade(&[])), Ok(()));
        for changes in [
            &[("connection", "")][..],
            &[("upgrade", "h2c, WebSocket")],
            &[("sec-websocket-key", "")],
            &[("sec-websocket-key", KEY)],
            &[("sec-websocket-key", ""), ("sec-websocket-key", "c2hvcnQ=")],
            &[("sec-websocket-version", "")],
            &[("sec-websocket-version", ""), ("sec-websocket-version", "8")],
            &[("content-length", "5")],
            &[("transfer-encoding", "chunked")],
        ] {
            let refused = check_upgrade(&upgrade(changes)).unwrap_err();
            assert_eq!(refused.reason, Reason::MalformedRequest, "{changes:?}");
        }
        let mut post = upgrade(&[]);
        post.set_method(Method::POST);
        assert!(check_upgrade(&post).is_err());
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("Application/GRPC+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_grpc(&headers), expected, "{value}");
        }
    }
}
