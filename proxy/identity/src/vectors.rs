//! Runs Project Wycheproof's vectors, read in place from `shared/vectors` beside the repository. Each case must come
//! out as its file says; where the house is stricter on purpose, the case stands in a table with the reason.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::algorithm::Algorithm;
use crate::jws::Jws;
use crate::keys::KeySet;

/// Valid by the file, refused here.
const STRICTER: [(u64, &str); 6] = [
    (346, "the key says PS256, the token PS384: a key verifies under its own algorithm only"),
    (347, "the key's `alg` is ES521, which no RFC has"),
    (350, "as 346"),
    (351, "as 347"),
    (372, "`?` in the header: only canonical base64url is read"),
    (373, "`?` in the payload: only canonical base64url is read"),
];

/// The same cases with the key's `alg` corrected: then the signature is good.
const CORRECTED: [(u64, &str); 4] =
    [(346, "PS384"), (347, "ES512"), (350, "PS384"), (351, "ES512")];

/// Invalid by the file (their padding was lost in it), and byte for byte the token of a valid case.
const SAME_TOKEN: [(u64, u64); 2] = [(367, 357), (370, 357)];

fn vectors(file: &str) -> Option<Value> {
    let shared = std::env::var_os("PORTCULLIS_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("vectors/wycheproof").join(file);
    if let Ok(text) = std::fs::read(&path) {
        return Some(serde_json::from_slice(&text).unwrap());
    }
    assert_ne!(std::env::var("REQUIRE_ALL").as_deref(), Ok("1"), "{file} is missing");
    println!("skipped: {file} is not in shared/vectors/wycheproof beside the repository");
    None
}

/// Every case of a file with its group's key.
fn cases(file: &Value) -> Vec<(&Value, &Value)> {
    let groups = file["testGroups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| {
            let key = group.get("public").or_else(|| group.get("private")).unwrap();
            group["tests"].as_array().unwrap().iter().map(move |test| (key, test))
        })
        .collect()
}

fn text(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

fn is_accepted(key: &Value, token: &Value) -> bool {
    let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
    let keys = KeySet::from_jwks(set.to_string().as_bytes(), &Algorithm::ALL);
    let token = text(token);
    keys.is_ok_and(|keys| Jws::parse(token.as_bytes()).and_then(|jws| jws.verify(&keys)).is_ok())
}

/// Runs a file of signed tokens, but for the cases that the caller judges, and returns how many there were.
fn run(file: &Value, judged: &[u64]) -> usize {
    let mut seen = 0;
    for (key, test) in cases(file) {
        let id = test["tcId"].as_u64().unwrap();
        if judged.contains(&id) {
            continue;
        }
        let expected = test["result"] == "valid";
        assert_eq!(is_accepted(key, &test["jws"]), expected, "{id}: {}", test["comment"]);
        seen += 1;
    }
    println!("{seen} cases ran");
    seen
}

#[test]
fn every_signature_vector_comes_out_right() {
    let Some(file) = vectors("json_web_signature_test.json") else { return };
    let judged: Vec<u64> =
        STRICTER.iter().map(|(id, _)| *id).chain(SAME_TOKEN.iter().map(|(id, _)| *id)).collect();
    assert_eq!(run(&file, &judged) + judged.len(), 401);
    let by_id: BTreeMap<u64, (&Value, &Value)> = cases(&file)
        .into_iter()
        .map(|(key, test)| (test["tcId"].as_u64().unwrap(), (key, test)))
        .collect();
    for (id, reason) in STRICTER {
        let (key, test) = by_id[&id];
        assert_eq!(test["result"], "valid", "{id} needs no exception");
        assert!(!is_accepted(key, &test["jws"]), "{id}: {reason}");
    }
    for (id, alg) in CORRECTED {
        let (key, test) = by_id[&id];
        let mut key = key.clone();
        key["alg"] = json!(alg);
        assert!(is_accepted(&key, &test["jws"]), "{id} with {alg}");
    }
    for (id, twin) in SAME_TOKEN {
        assert_eq!(by_id[&id].1["jws"], by_id[&twin].1["jws"], "{id} is {twin}");
        assert_eq!(by_id[&twin].1["result"], "valid");
    }
}

#[test]
fn every_key_vector_comes_out_right() {
    let Some(file) = vectors("json_web_key_test.json") else { return };
    assert_eq!(run(&file, &[]), 26);
}

#[test]
fn every_encryption_vector_is_refused() {
    let Some(file) = vectors("json_web_encryption_test.json") else { return };
    let cases = cases(&file);
    for (_, test) in &cases {
        let token = text(&test["jwe"]);
        assert!(!token.is_empty() && token != "null", "{}", test["tcId"]);
        assert!(Jws::parse(token.as_bytes()).is_err(), "{}", test["tcId"]);
    }
    println!("{} cases ran", cases.len());
    assert_eq!(cases.len(), 139);
}
