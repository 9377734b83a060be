//! Headers that speak for an identity, in every spelling that somebody may hope passes the edge: over HTTP/1 and HTTP/2,
//! in heads and in trailers. The origin sees the edge's own values only, or nothing at all.

use portcullis_identity::headers::is_reserved;
use portcullis_tests::{Edge, End, Field, Origin, Seen};

const ROUTE: &str = "{ path: /, backend: origin, identity: { any: [dev] } }";
/// What the edge itself says inward.
const OWN: [&str; 5] =
    ["x-edge-subject", "x-edge-tenant", "x-edge-roles", "x-edge-request-id", "x-edge-assertion"];
const FORGED: &str = "forged";

/// Spellings of a name. Some are no field names at all; what is sent is what stands here.
fn spellings(name: &str) -> Vec<Vec<u8>> {
    let with = |to: &str| name.replace('-', to).into_bytes();
    let mut all = vec![
        name.as_bytes().to_vec(),
        name.to_uppercase().into_bytes(),
        name.replacen('-', "_", 1).into_bytes(),
        format!("-{name}").into_bytes(),
        format!("_{name}_").into_bytes(),
        format!("{name}-").into_bytes(),
        format!("{name} ").into_bytes(),
        format!(" {name}").into_bytes(),
        format!("{name}\t").into_bytes(),
        format!("{name}\0").into_bytes(),
        format!("{name}\u{a0}").into_bytes(),
    ];
    // Whatever goes on after the edge's own prefix is the edge's.
    all.extend(name.starts_with("x-edge-").then(|| format!("{name}-copy").into_bytes()));
    all.extend(
        ["_", ".", "~", "!", "--", "__", "-_", "_-.", "+", "'", "|", "*", " ", "\t", "\u{2010}"]
            .map(with),
    );
    all
}

fn cases() -> Vec<Vec<u8>> {
    let others = ["x-user-id", "x-tenant-id", "x-forwarded-user", "remote-user", "x-client-cert"];
    OWN.iter().chain(&others).flat_map(|name| spellings(name)).collect()
}

/// The origin saw one request, and in it nothing of an identity but the edge's own word.
fn only_the_edges_own(seen: &Seen, case: &str) {
    let text = seen.head.escape_ascii().to_string();
    assert!(!text.contains(FORGED), "{case}: {text}");
    for name in seen.names() {
        if is_reserved(name.as_bytes()) {
            assert!(OWN.contains(&name.as_str()), "{case}: {name}");
            assert_eq!(seen.headers(&name).len(), 1, "{case}: {name}");
        }
    }
    assert_eq!(seen.headers("x-edge-subject"), ["ada"], "{case}");
    assert_eq!(seen.headers("x-edge-tenant"), ["t1"], "{case}");
    assert_eq!(seen.headers("x-ordinary"), ["kept"], "{case}");
}

fn fields(token: &str, method: &str) -> Vec<Field> {
    let authorization = format!("Bearer {token}");
    [
        (":method", method),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", "edge.test"),
        ("authorization", authorization.as_str()),
        ("x-ordinary", "kept"),
    ]
    .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    .to_vec()
}

/// What HTTP/2 refuses counts as new connections of its address, of which these tests make hundreds.
async fn edge(origin: &Origin) -> Edge {
    let limits = "limits: { connection_rate: 1000000 }";
    Edge::builder(origin).routes(&[ROUTE]).backend("assertion: true").top(limits).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_1_no_spelling_passes() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let token = edge.token("ada", "t1");
    let (mut passed, mut refused) = (0, 0);
    for name in cases() {
        let case = name.escape_ascii().to_string();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\nX-Ordinary: kept\r\n"
        );
        let request = [head.as_bytes(), &name, b": ", FORGED.as_bytes(), b"\r\n\r\n"].concat();
        match edge.client().await.ask(request).await.status {
            200 => {
                only_the_edges_own(&origin.only(), &case);
                passed += 1;
            }
            status => {
                assert_eq!(status, 400, "{case}");
                origin.saw_nothing();
                refused += 1;
            }
        }
        origin.forget();
    }
    assert!(passed + refused >= 60 && passed > 0 && refused > 0, "{passed} {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_2_no_spelling_passes() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let token = edge.token("ada", "t1");
    let (mut passed, mut refused) = (0, 0);
    for name in cases() {
        let case = name.escape_ascii().to_string();
        let mut head = fields(&token, "GET");
        head.push((name, FORGED.as_bytes().to_vec()));
        let mut client = edge.h2_raw().await;
        client.request(1, &head, &[], &[]).await;
        match client.end_of(1).await {
            End::Answered(200, _) => {
                only_the_edges_own(&origin.only(), &case);
                passed += 1;
            }
            End::Answered(400, _) | End::Reset | End::Closed => {
                origin.saw_nothing();
                refused += 1;
            }
            End::Answered(status, _) => panic!("{case}: {status}"),
        }
        origin.forget();
    }
    assert!(passed + refused >= 60 && passed > 0 && refused > 0, "{passed} {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_are_refused_over_http_1_and_dropped_over_http_2() {
    let origin = Origin::start().await;
    let edge = edge(&origin).await;
    let token = edge.token("ada", "t1");
    for name in OWN.iter().chain(&["x_edge_subject", "x-ordinary-trailer"]) {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer {token}\r\n\
             Transfer-Encoding: chunked\r\nTrailer: {name}\r\n\r\n1\r\na\r\n0\r\n{name}: {FORGED}\r\n\r\n"
        );
        assert_eq!(edge.client().await.ask(request).await.status, 400, "{name}");
        origin.saw_nothing();
        let trailers = [(name.as_bytes().to_vec(), FORGED.as_bytes().to_vec())];
        let mut client = edge.h2_raw().await;
        client.request(1, &fields(&token, "POST"), &[b"a".to_vec()], &trailers).await;
        // HTTP/2 ends a body with them wherever they stand, so they are dropped, and the request is served without.
        assert!(matches!(client.end_of(1).await, End::Answered(200, _)), "{name}");
        let seen = origin.only();
        only_the_edges_own(&seen, name);
        assert_eq!(seen.body, b"a");
        origin.forget();
    }
}
