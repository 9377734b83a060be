//! Lists, countries and networks, as requests meet them.

use std::path::{Path, PathBuf};

use portcullis_tests::{Edge, Manner, Origin};

const VPN_ONLY: &str = include_str!("../../../config/policies/vpn-only.yaml");

fn from(address: &str) -> Manner {
    Manner { from: address.parse().unwrap(), ..Manner::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_for_the_vpn_is_closed_to_others_and_inspected_for_its_own() {
    let origin = Origin::start().await;
    let edge =
        Edge::builder(&origin).policy(VPN_ONLY).list("vpn", "127.0.0.2 # alice\n").start().await;
    let ask = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    let attack = "/?id=1%27%20UNION%20SELECT%20password%20FROM%20users--";
    for (address, target, expected) in [
        ("127.0.0.2", "/", 200),
        ("127.0.0.3", "/", 403),
        ("127.0.0.2", attack, 403),
        ("127.0.0.2", "/?file=../../../../etc/passwd", 403),
    ] {
        origin.forget();
        let answer = edge.client_as(&from(address)).await.ask(ask(target)).await;
        assert_eq!(answer.status, expected, "{address} {target}");
        if expected == 403 {
            origin.saw_nothing();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_while_the_list_of_the_vpn_is_empty() {
    let origin = Origin::start().await;
    let edge = Edge::builder(&origin).policy(VPN_ONLY).list("vpn", "").start().await;
    assert_eq!(edge.get("/").await.status, 403);
    origin.saw_nothing();
}

const EACH: &str = r#"
name: tested
rules:
  - priority: 100
    action: deny(403)
    match: { expr: { expression: "REFUSED" } }
  - priority: 200
    action: throttle
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
    rateLimitOptions:
      conformAction: allow
      exceedAction: deny(429)
      enforceOnKey: KEY
      rateLimitThreshold: { count: 2, intervalSec: 60 }
  - priority: 2147483647
    action: allow
    match: { versionedExpr: SRC_IPS_V1, config: { srcIpRanges: ["*"] } }
"#;

/// Asks for a client whose address a trusted hop tells.
async fn as_client(edge: &Edge, address: &str) -> u16 {
    let request =
        format!("GET / HTTP/1.1\r\nHost: edge.test\r\nX-Forwarded-For: {address}\r\n\r\n");
    edge.client().await.ask(request).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn countries_of_text_ranges_are_refused_and_counted() {
    let files = tempfile::tempdir().unwrap();
    // 1.0.0.0/24 AU, 1.0.1.0 to 1.0.3.255 CN, 1.0.4.0/22 unknown.
    let v4 = "16777216,16777471,AU\n16777472,16778239,CN\n16778240,16779263,??\n";
    std::fs::write(files.path().join("geoip"), v4).unwrap();
    std::fs::write(files.path().join("geoip6"), "2001:200::,2001:200:ffff::,JP\n").unwrap();
    let origin = Origin::start().await;
    let policy =
        EACH.replace("REFUSED", "origin.region_code == 'CN'").replace("KEY", "REGION_CODE");
    let geo = format!(
        "geo: {{ country: {0}/geoip, country_ipv6: {0}/geoip6, required: true }}\ntrusted_hops: [127.0.0.0/8]",
        files.path().display()
    );
    let edge = Edge::builder(&origin).policy(&policy).top(&geo).start().await;
    for (address, expected) in [
        ("1.0.1.9", 403),
        ("1.0.0.1", 200),
        ("1.0.0.2", 200),
        ("1.0.0.3", 429), // Australia's third
        ("2001:200::1", 200),
        ("1.0.4.1", 200),
        ("203.0.113.1", 200),
        ("1.0.5.1", 429), // the unknown countries are one key
    ] {
        assert_eq!(as_client(&edge, address).await, expected, "{address}");
    }
}

/// MaxMind's test databases stand beside the repository, where there are any.
#[expect(clippy::print_stderr, reason = "who runs the tests is told what was left out")]
fn asn_database() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?.join("shared");
    let shared = std::env::var_os("PORTCULLIS_SHARED").map_or(beside, PathBuf::from);
    let path = shared.join("vectors/maxmind/test-data/GeoLite2-ASN-Test.mmdb");
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("REQUIRE_ALL").is_none(), "MaxMind's test databases are required");
    eprintln!("skipped: MaxMind's test databases are not beside the repository");
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_are_refused_and_counted_by_their_number() {
    let Some(database) = asn_database() else { return };
    let origin = Origin::start().await;
    let policy = EACH.replace("REFUSED", "origin.asn == 237").replace("KEY", "ASN");
    let geo = format!("geo: {{ asn: {} }}\ntrusted_hops: [127.0.0.0/8]", database.display());
    let edge = Edge::builder(&origin).policy(&policy).top(&geo).start().await;
    for (address, expected) in [
        ("2600:6000::1", 403),
        ("1.128.0.1", 200),
        ("1.128.0.2", 200),
        ("1.129.0.3", 429), // Telstra's third
        ("192.0.2.1", 200),
    ] {
        assert_eq!(as_client(&edge, address).await, expected, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_has_a_whole_ipv6_network_of_64_bits() {
    let origin = Origin::start().await;
    let policy = EACH.replace("REFUSED", "request.path == '/never'").replace("KEY", "IP");
    let edge = Edge::builder(&origin).policy(&policy).top("trusted_hops: [127.0.0.0/8]");
    let edge = edge.start().await;
    for (address, expected) in [
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 200),
        ("2001:db8:0:1::3", 429),
        ("2001:db8:0:2::1", 200),
    ] {
        assert_eq!(as_client(&edge, address).await, expected, "{address}");
    }
}
