use std::time::Duration;

use portcullis_config::Config;

use super::file::SigningKey;
use super::*;
use crate::router::{Routed, Router};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HERE: [u8; 4] = [10, 3, 0, 7];

fn nets(text: &str) -> Vec<IpNet> {
    text.split(',').map(|net| net.parse().unwrap()).collect()
}

fn keys(directory: &std::path::Path) -> (Vec<SigningKey>, Bypass) {
    let file = directory.join("load-test.keys");
    let keys = parse(&std::fs::read(file).unwrap()).unwrap();
    (keys.signing.clone(), Bypass::new(keys, nets("10.3.0.0/16")))
}

fn wish(from: &str, secs: u64) -> Wish {
    let routes = vec!["edge.test/api".to_owned()];
    Wish { lifetime: Duration::from_secs(secs), from: nets(from), routes }
}

#[test]
fn a_token_is_for_its_networks_its_routes_and_its_time() {
    let home = tempfile::tempdir().unwrap();
    add_key(&home.path().join("load-test.keys"), Secrecy::Key, 0).unwrap();
    let (signing, bypass) = keys(home.path());
    let token = mint(&wish("10.3.0.0/24", 60), &signing[0], NOW).unwrap();
    let claim = |text: &str, client: [u8; 4], after| {
        let now = NOW.plus(Duration::from_secs(after));
        bypass.claim(text.as_bytes(), client.into(), now)
    };
    assert!(claim(&token, HERE, 0).unwrap().name.starts_with("token:"));
    assert!(claim(&token, HERE, 59).is_some(), "its last second");
    assert!(claim(&token, HERE, 60).is_none(), "it has ended");
    assert!(claim(&token, [10, 3, 1, 7], 0).is_none(), "not the token's network");
    let wide = mint(&wish("0.0.0.0/0", 60), &signing[0], NOW).unwrap();
    assert!(claim(&wide, [10, 4, 0, 7], 0).is_none(), "not the configuration's network");
    assert!(claim(&wide, HERE, 0).is_some());
    for at in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        // The last character has bits that the text does not use.
        let is_forged = bypass.claim(&forged, HERE.into(), NOW).is_none();
        assert!(is_forged || at + 1 == token.len(), "at {at}");
    }
    for text in ["", "plt1.", "plt1..", "plt1.e30.", "plt1.e30.AAAA", "plt1"] {
        assert!(claim(text, HERE, 0).is_none(), "{text}");
    }
    let long = vec![b'x'; VALUE_BYTES_MAX + 1];
    assert!(bypass.claim(&long, HERE.into(), NOW).is_none());
}

#[test]
fn a_token_names_one_to_sixteen_routes_and_lives_a_day_at_most() {
    let home = tempfile::tempdir().unwrap();
    add_key(&home.path().join("load-test.keys"), Secrecy::Key, 0).unwrap();
    let (signing, _) = keys(home.path());
    let with = |routes: usize, secs| Wish {
        routes: vec!["edge.test/".to_owned(); routes],
        ..wish("10.3.0.0/24", secs)
    };
    for (routes, secs, is_minted) in
        [(1, 1, true), (16, 86_400, true), (0, 1, false), (17, 1, false), (1, 0, false)]
    {
        assert_eq!(mint(&with(routes, secs), &signing[0], NOW).is_ok(), is_minted, "{routes}");
    }
    assert!(mint(&with(1, 86_401), &signing[0], NOW).is_err());
}

#[test]
fn keys_and_static_secrets_overlap_for_as_long_as_they_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("load-test.keys");
    let first = add_key(&file, Secrecy::Static, 1).unwrap().unwrap();
    assert!(add_key(&file, Secrecy::Key, 1).unwrap().is_none());
    let (signing, bypass) = keys(home.path());
    let token = mint(&wish("10.3.0.0/16", 60), &signing[0], NOW).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(first.as_str()), "the secret itself is nowhere");
    let holds = |bypass: &Bypass, value: &str| {
        bypass.claim(value.as_bytes(), HERE.into(), NOW).map(|claim| claim.name.to_string())
    };
    assert!(holds(&bypass, &first).unwrap().starts_with("secret:"));
    assert!(holds(&bypass, &first.to_uppercase()).is_none());
    for (keep, is_kept) in [(1, true), (0, false)] {
        let secret = add_key(&file, Secrecy::Static, keep).unwrap().unwrap();
        add_key(&file, Secrecy::Key, keep).unwrap();
        let (_, bypass) = keys(home.path());
        assert!(holds(&bypass, &secret).is_some());
        assert_eq!(holds(&bypass, &token).is_some(), is_kept, "{keep}");
        assert_eq!(holds(&bypass, &first).is_some(), is_kept, "{keep}");
    }
}

#[test]
fn a_file_of_anything_else_is_refused_with_its_line() {
    let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for (text, is_sound) in [
        (hash.to_owned(), true),
        (format!("# a comment\n\n{hash}\n"), true),
        (String::new(), false),
        ("# only a comment".to_owned(), false),
        (hash.to_uppercase(), false),
        (format!("{hash}0"), false),
        (hash.replace("9f", "+f"), false),
        ("k6-load-test-bypass-token-2025".to_owned(), false),
        ("portcullis-load-test-key-1 AAAA".to_owned(), false),
        (format!("{hash}\n").repeat(9), false),
        (format!("{hash}\n").repeat(8), true),
    ] {
        assert_eq!(parse(text.as_bytes()).is_ok(), is_sound, "{text}");
    }
    assert!(parse(b"\n\nx").unwrap_err().to_string().contains("line 3"));
}

#[test]
fn a_claim_holds_on_the_routes_that_it_names_only() {
    let text = "version: 1\nenvironment: staging\nstate_dir: .\nadmin: { socket: a.sock }\n\
        listeners: [{ address: '127.0.0.1:0', plain: true }]\n\
        backends: { o: { servers: ['127.0.0.1:1'] } }\n\
        hosts:\n  edge.test: { routes: [{ path: /, backend: o, identity: none }, { path: /api, backend: o, identity: none }] }\n";
    let config: Config =
        portcullis_config::load_str("edge.yaml", text, std::path::Path::new("/tmp"))
            .unwrap()
            .config;
    let router = Router::new(&config);
    for (path, routes, holds) in [
        ("/api/x", Some(vec!["edge.test/api".to_owned()]), true),
        ("/x", Some(vec!["edge.test/api".to_owned()]), false),
        ("/apix", Some(vec!["edge.test/api".to_owned()]), false),
        ("/x", Some(vec!["edge.test/".to_owned()]), true),
        ("/api/x", Some(vec!["edge.test/".to_owned()]), false),
        ("/api/x", Some(vec!["other.test/api".to_owned()]), false),
        ("/api/x", None, true),
    ] {
        let Routed::Route(entry) = router.find(b"edge.test", path.as_bytes()) else {
            panic!("{path} has a route")
        };
        let claim = Claim { name: "token:1".into(), routes };
        assert_eq!(claim.on(entry).is_some(), holds, "{path}");
    }
}
