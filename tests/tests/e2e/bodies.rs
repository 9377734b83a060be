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

/// What a policy refuses wherever it stands in a form.
const ATTACK: &[u8] = b"&id=1%27%20UNION%20SELECT%20password%20FROM%20users--";
const POLICY: &str = "name: tested\nrules:\n  - priority: 10\n    action: deny(403)\n    match: { expr: { expression: \
    \"evaluatePreconfiguredWaf('sqli-core-stable', {'sensitivity': 1})\" } }\n  - priority: 2147483647\n    \
    action: allow\n    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ['*'] } }\n";
const LARGE: &str =
    "{ path: /, backend: origin, identity: none, body: { limit: 8MiB, inspect: 8MiB } }";

/// A form of this length, harmless or with an attack at its end.
fn form(length: usize, attacks: bool) -> Vec<u8> {
    let mut form = b"a=".to_vec();
    form.resize(length.max(1), b'x');
    form.truncate(length);
    if attacks {
        let at = length - ATTACK.len();
        form[at..].copy_from_slice(ATTACK);
    }
    form
}

fn framed(framing: Framing, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /upload HTTP/1.1\r\nHost: edge.test\r\n{kind}");
    match framing {
        Framing::ContentLength => {
            [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
        }
        Framing::Chunked | Framing::H2WithLength | Framing::H2WithoutLength => {
            let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
            [head.as_bytes(), &chunked(body, 60_000)].concat()
        }
    }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_gets_a_whole_body_or_nothing_of_any_size_framing_and_intent() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[LARGE]).policy(POLICY).start().await;
    let mut ran = 0;
    for length in [1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, MIB, 8 * MIB] {
        for attacks in [false, true] {
            if attacks && length < ATTACK.len() {
                continue;
            }
            let body = form(length, attacks);
            for framing in FRAMINGS {
                let answer = match framing {
                    Framing::ContentLength | Framing::Chunked => {
                        edge.client().await.ask(framed(framing, FORM, &body)).await
                    }
                    Framing::H2WithLength => {
                        let length = length.to_string();
                        let headers = [
                            ("content-type", "application/x-www-form-urlencoded"),
                            ("content-length", length.as_str()),
                        ];
                        edge.h2().await.ask("POST", "/upload", &headers, &body).await
                    }
                    Framing::H2WithoutLength => {
                        let headers = [("content-type", "application/x-www-form-urlencoded")];
                        edge.h2().await.ask("POST", "/upload", &headers, &body).await
                    }
                };
                let what = format!("{framing:?}, {length} bytes, attacks: {attacks}");
                if attacks {
                    assert_eq!(answer.status, 403, "{what}");
                    origin.saw_nothing();
                } else {
                    assert_eq!(answer.status, 200, "{what}: {}", answer.body.escape_ascii());
                    assert!(origin.only().body == body, "{what}");
                }
                origin.forget();
                ran += 1;
            }
        }
    }
    assert_eq!(ran, 44);
    assert!(!edge.metrics().contains("edge_heavy_bodies_total 0"), "large bodies leave the worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_in_the_middle_leaves_the_origin_a_whole_body_or_nothing() {
    const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf";
    let origin = Origin::answering(HALF).await;
    let edge = Edge::builder(&origin)
        .routes(&[LARGE])
        .policy(POLICY)
        .backend("read_timeout: 1s")
        .start()
        .await;
    for length in [1, 64 * 1024, 64 * 1024 + 1, MIB] {
        let body = form(length, false);
        for framing in [Framing::ContentLength, Framing::Chunked] {
            // In the middle of the request: nothing may come.
            let request = framed(framing, FORM, &body);
            let mut client = edge.client().await;
            client.send(&request[..request.len() - 1]).await;
            drop(client);
            // In the middle of the answer: all of it has come.
            let mut client = edge.client().await;
            client.send(&request).await;
            let head = client.bytes(12).await;
            assert!(head.starts_with(b"HTTP/1.1 200"), "{}", head.escape_ascii());
            drop(client);
            let seen = origin.seen();
            assert_eq!(seen.len(), 1, "{framing:?}, {length} bytes");
            assert!(seen[0].body == body, "{framing:?}, {length} bytes");
            origin.forget();
        }
    }
    // Whoever left in the middle of a request left nothing behind.
    portcullis_tests::within("every share given back", async {
        while !edge.metrics().contains("edge_body_bytes_held 0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    origin.saw_nothing();
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_body_is_judged_inflated_and_forwarded_as_it_came() {
    let inflating = "{ path: /, backend: origin, identity: none, body: { limit: 1MiB, inspect: 256KiB, \
                     compressed: inflate, ratio: 100 } }";
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[inflating]).policy(POLICY).start().await;
    // Letters without a pattern: a ratio of less than two.
    let noise = |length: usize| -> Vec<u8> {
        let mut state = 1_u32;
        let letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + u8::try_from((state >> 16) % 26).unwrap()
        };
        std::iter::repeat_with(letter).take(length).collect()
    };
    let zstd = |plain: &[u8]| zstd::encode_all(plain, 3).unwrap();
    for (coding, body, status, error) in [
        ("gzip", gzip(&[b"a=", noise(50_000).as_slice()].concat()), 200, ""),
        ("gzip", gzip(&[noise(50_000).as_slice(), ATTACK].concat()), 403, "forbidden"),
        ("zstd", zstd(&form(50_000, false)), 413, "body_too_large"),
        ("zstd", zstd(&[b"a=", noise(5_000).as_slice()].concat()), 200, ""),
        ("zstd", zstd(&[noise(5_000).as_slice(), ATTACK].concat()), 403, "forbidden"),
        ("gzip", gzip(&noise(256 * 1024)), 200, ""),
        ("gzip", gzip(&noise(256 * 1024 + 1)), 413, "body_too_large"),
        ("gzip", gzip(&vec![b'a'; 10 * MIB]), 413, "body_too_large"),
        ("gzip", b"not gzip".to_vec(), 400, "bad_request"),
        ("compress", form(100, false), 415, "unsupported_encoding"),
        ("gzip, gzip", gzip(&gzip(b"a=1")), 415, "unsupported_encoding"),
    ] {
        let kind = format!("{FORM}Content-Encoding: {coding}\r\n");
        let request = framed(Framing::ContentLength, &kind, &body);
        let answer = edge.client().await.ask(request).await;
        assert_eq!(answer.status, status, "{coding}, {} bytes", body.len());
        if status == 200 {
            let seen = origin.only();
            assert!(seen.body == body, "the origin gets what the client sent");
            assert_eq!(seen.headers("content-encoding"), [coding]);
        } else {
            assert_eq!(answer.error(), error);
            origin.saw_nothing();
        }
        origin.forget();
    }
    let refusing = Edge::builder(&origin).routes(&[LARGE]).policy(POLICY).start().await;
    let kind = format!("{FORM}Content-Encoding: gzip\r\n");
    let request = framed(Framing::ContentLength, &kind, &gzip(b"a=1"));
    assert_eq!(refusing.client().await.ask(request).await.status, 415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_longer_than_what_is_inspected_is_refused_passed_or_passed_with_a_word() {
    for (oversize, status) in [("deny", 413), ("pass", 200), ("log", 200)] {
        let route = format!(
            "{{ path: /, backend: origin, identity: none, body: {{ limit: 100KiB, inspect: 1KiB, oversize: {oversize} }} }}"
        );
        let origin = Origin::start().await;
        let edge = Edge::builder(&origin).routes(&[&route]).policy(POLICY).start().await;
        // At its end the attack is not judged, at its start it is.
        let late = form(10_000, true);
        let early = [&ATTACK[1..], &form(9_000, false)].concat();
        for (body, status) in [(&late, status), (&early, if status == 200 { 403 } else { status })]
        {
            let answer = edge.client().await.ask(framed(Framing::ContentLength, FORM, body)).await;
            assert_eq!(answer.status, status, "{oversize}");
        }
        let too_long = form(100 * 1024 + 1, false);
        let answer = edge.client().await.ask(framed(Framing::Chunked, FORM, &too_long)).await;
        assert_eq!(answer.status, 413, "{oversize}: the limit holds for every way");
        let remarked = edge
            .request_log()
            .iter()
            .any(|line| line.to_string().contains("the body is longer than what was inspected"));
        assert_eq!(remarked, oversize == "log", "{oversize}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_hears_yes_or_the_reason() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).routes(&[ROUTE]).policy(POLICY).start().await;
    let ask = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: edge.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut client = edge.client().await;
    assert_eq!(client.ask(ask(5)).await.status, 100);
    origin.saw_nothing();
    assert_eq!(client.ask("hello").await.status, 200);
    let seen = origin.only();
    assert_eq!((seen.body.as_slice(), seen.headers("expect").len()), (&b"hello"[..], 0));
    origin.forget();
    assert_eq!(edge.client().await.ask(ask(MIB + 1)).await.status, 413);
    origin.saw_nothing();
}
