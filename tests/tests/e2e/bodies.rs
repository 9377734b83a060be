//! Body limits: in every framing, exactly at the limit and one byte above, and the origin sees all or nothing.

use std::fmt::Write as _;

use portcullis_tests::{Answer, Edge, Origin};

const MIB: usize = 1024 * 1024;
const ROUTE: &str = "{ path: /, backend: origin, identity: none, body: { limit: 1MiB, inspect: 1MiB, oversize: deny } }";

/// The ways in which a client can frame a body.
#[derive(Clone, Copy, Debug)]
enum Framing {
    ContentLength,
    Chunked,
    H2WithLength,
    H2WithoutLength,
}

const FRAMINGS: [Framing; 4] =
    [Framing::ContentLength, Framing::Chunked, Framing::H2WithLength, Framing::H2WithoutLength];

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect()
}

fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut framed = Vec::new();
    for part in body.chunks(chunk) {
        framed.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        framed.extend_from_slice(part);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

async fn post(edge: &Edge, framing: Framing, body: &[u8]) -> Answer {
    let mut head =
        "POST /upload HTTP/1.1\r\nHost: edge.test\r\nContent-Type: text/plain\r\n".to_owned();
    match framing {
        Framing::ContentLength => {
            write!(head, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
            edge.client().await.ask([head.as_bytes(), body].concat()).await
        }
        Framing::Chunked => {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
            edge.client().await.ask([head.as_bytes(), &chunked(body, 10_000)].concat()).await
        }
        Framing::H2WithLength => {
            let length = body.len().to_string();
            edge.h2().await.ask("POST", "/upload", &[("content-length", &length)], body).await
        }
        Framing::H2WithoutLength => edge.h2().await.ask("POST", "/upload", &[], body).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_up_to_its_limit_reaches_the_origin_whole_in_every_framing() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).start().await;
    for framing in FRAMINGS {
        for length in [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 200_000, MIB] {
            let sent = body(length);
            let answer = post(&edge, framing, &sent).await;
            assert_eq!(
                answer.status,
                200,
                "{framing:?}, {length} bytes: {}",
                answer.body.escape_ascii()
            );
            let seen = origin.only();
            assert!(
                seen.body == sent,
                "{framing:?}, {length} bytes: the origin saw {}",
                seen.body.len()
            );
            assert!(seen.headers("transfer-encoding").is_empty(), "{framing:?}, {length} bytes");
            origin.forget();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_above_the_limit_is_413_and_the_origin_sees_nothing() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).start().await;
    for framing in FRAMINGS {
        let answer = post(&edge, framing, &body(MIB + 1)).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (413, "body_too_large"),
            "{framing:?}"
        );
        origin.saw_nothing();
    }
    assert!(edge.metrics().contains("edge_refusals_total{reason=\"body_too_large\"} 4"));
}
