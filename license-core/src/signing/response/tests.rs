use super::{Exchange, Input, base, verify_response};
use crate::clock::Timestamp;
use crate::signing::jws::KeySet;
use crate::signing::response::{BadResponse, digest_of, signature_field};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::json;

const NOW: u64 = 1_800_000_000;

/// RFC 9421 appendix B.2.6: the base is of a request, whose lines are the same but for where their values come from.
#[test]
fn the_rfcs_own_signature_is_over_the_base_as_it_is_written_here() {
    let key = STANDARD.decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
    let signature = STANDARD
        .decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
        .unwrap();
    let field = "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
        \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    let input = Input::parse(field).unwrap();
    assert_eq!(input.field(), field);
    let values =
        ["Tue, 20 Apr 2021 02:07:55 GMT", "POST", "/foo", "example.com", "application/json", "18"];
    let lines: String = input
        .components
        .iter()
        .zip(values)
        .map(|(component, value)| format!("{component}: {value}\n"))
        .collect();
    let text = format!("{lines}\"@signature-params\": {}", input.inner_list());
    UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &signature).unwrap();
}

#[test]
fn fields_are_read_in_their_form_and_no_other() {
    for good in [
        "sig=()",
        "sig=(\"@status\" \"@method\";req)",
        "a1=(\"x\");created;nonce=\"n\\\"\\\\\"",
        "*=(\"x\");created=5, other=(\"y\")",
    ] {
        assert!(Input::parse(good).is_some(), "{good}");
    }
    let many = format!("sig=({})", vec!["\"x\""; 17].join(" "));
    let long = format!("sig=(\"{}\")", "x".repeat(2048));
    for bad in [
        "",
        "sig",
        "sig=",
        "sig=(",
        "Sig=()",
        "sig=(\"x)",
        "sig=(x)",
        "sig=(\"x\"\"y\")",
        "sig=(\"x\";sf)",
        "sig=(\"x\";req;req)",
        "sig=();created=1;created=2",
        "sig=();created=1234567890123456",
        "sig=();created=x",
        "sig=();n=\"\\x\"",
        "sig=() x",
        "sig=(\"é\")",
        &many,
        &long,
    ] {
        assert!(Input::parse(bad).is_none(), "{bad}");
    }
    // No prefix panics.
    let whole = "sig=(\"@status\" \"@method\";req);created=1;keyid=\"k\";nonce=\"\\\"\"";
    (0..whole.len()).for_each(|end| drop(Input::parse(whole.get(..end).unwrap())));
}

#[test]
fn a_response_is_believed_whole_and_fresh_for_its_own_request_alone() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k",
        "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())});
    let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let body = b"{\"id\":1}".as_slice();
    let signed = |items: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-digest", digest_of(body).parse().unwrap());
        let field = format!("sig=({items});created={NOW};keyid=\"k\";nonce=\"n\"");
        let input = Input::parse(&field).unwrap();
        let exchange =
            Exchange { method: "GET", target: "/a?b=c", status: 200, headers: &headers, body };
        let signature = pair.sign(base(&input, exchange).unwrap().as_bytes());
        headers.insert("signature-input", field.parse().unwrap());
        headers.insert("signature", signature_field("sig", signature.as_ref()).parse().unwrap());
        headers
    };
    let whole = "\"@status\" \"content-digest\" \"@method\";req \"@path\";req \"@query\";req";
    let headers = signed(whole);
    let good = Exchange { method: "GET", target: "/a?b=c", status: 200, headers: &headers, body };
    let at = |secs: u64| Timestamp::from_millis(secs * 1000);
    let verified = verify_response(good, &keys, at(NOW)).unwrap();
    assert_eq!((verified.created, verified.nonce.as_deref()), (NOW, Some("n")));
    for (now, good_then) in
        [(NOW - 61, false), (NOW - 60, true), (NOW + 300, true), (NOW + 301, false)]
    {
        assert_eq!(verify_response(good, &keys, at(now)).is_ok(), good_then, "{now}");
    }
    let wrong = |exchange: Exchange<'_>| verify_response(exchange, &keys, at(NOW)).unwrap_err();
    assert_eq!(wrong(Exchange { body: b"{\"id\":2}", ..good }), BadResponse::Digest);
    for changed in [
        Exchange { status: 201, ..good },
        Exchange { method: "PUT", ..good },
        Exchange { target: "/a?b=d", ..good },
        Exchange { target: "/b?b=c", ..good },
    ] {
        assert!(matches!(wrong(changed), BadResponse::Signature(_)), "{changed:?}");
    }
    // A signature that leaves a part out proves nothing of the whole.
    for left_out in ["\"@status\"", "\"content-digest\"", "\"@method\";req", "\"@query\";req"] {
        let headers = signed(&whole.replace(left_out, "").replace("  ", " "));
        let exchange = Exchange { headers: &headers, ..good };
        assert_eq!(wrong(exchange), BadResponse::Coverage, "{left_out}");
    }
    let none = HeaderMap::new();
    assert_eq!(wrong(Exchange { headers: &none, ..good }), BadResponse::Unsigned);
    let nobody = KeySet::parse(b"{\"keys\": []}").unwrap();
    assert!(verify_response(good, &nobody, at(NOW)).is_err());
}
