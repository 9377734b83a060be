//! What does a token cost? One that was verified before, one that was not, and one that names an unknown key, beside
//! plain `jsonwebtoken`, which verifies each time.
//!
//! `cargo bench -p portcullis-benches --no-default-features --features identity --bench identity -- [--record]`.
//!
//! Every figure is the time of one thread, the least of many short rounds. The token is as Google's are: nine claims with
//! a nested one, about 700 bytes. Both sides check signature, issuer, audience and expiry; ours checks every other line of
//! RFC 8725 as well, and finds tenant and roles.

use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, encode};
use portcullis_benches::mode::Mode;
use portcullis_benches::{machine, record};
use portcullis_config::Timestamp;
use portcullis_config::model::{Alg, ClaimPath, ClaimRules, KeySource, Provider, StaticProvider};
use portcullis_identity::revocation::{Revocation, Revocations, Revoked};
use portcullis_identity::{TokenCache, Verifier};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde_json::{Value, json};

/// The product's, so that allocations cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW_SECS: u64 = 1_800_000_000;
const NOW: Timestamp = Timestamp::from_secs(NOW_SECS);
const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "license-api";

struct Row {
    what: &'static str,
    ours: f64,
    peer: Option<f64>,
}

/// An issuer's key, on both sides.
struct Side {
    verifier: Verifier,
    signing: EncodingKey,
    peer: DecodingKey,
    algorithm: Algorithm,
}

fn main() -> io::Result<()> {
    let mode = Mode::from_args();
    let mut text = format!("# Tokens\n\n{}; nanoseconds, minima.\n\n", machine::describe());
    text.push_str("| what | ns | jsonwebtoken, ns |\n|---|---|---|\n");
    for row in rows(mode) {
        let peer = row.peer.map_or_else(|| "–".to_owned(), |peer| format!("{peer:.0}"));
        text.push_str(&format!("| {} | {:.0} | {peer} |\n", row.what, row.ours));
    }
    text.push_str(&beside_strangers(mode));
    record::publish(mode, "identity", text.trim_end())
}

/// What a good token waits for while another thread verifies tokens with made-up key ids as fast as it can.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn beside_strangers(mode: Mode) -> String {
    let side = ec();
    let (good, stranger) = (side.token("k1"), side.token("made-up"));
    let (cache, nothing) = (TokenCache::new(16_384), Revocations::default());
    let verify = |token: &str| cache.verify([&side.verifier], &nothing, token.as_bytes(), NOW);
    assert!(verify(&good).is_ok());
    let (stop, strangers) = (AtomicBool::new(false), AtomicU64::new(0));
    let span = mode.span(Duration::from_secs(5));
    let (mut longest, mut over, mut asked) = (Duration::ZERO, 0_u64, 0_u64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(verify(&stranger).is_err());
                strangers.fetch_add(1, Ordering::Relaxed);
            }
        });
        let start = Instant::now();
        while start.elapsed() < span {
            let one = Instant::now();
            assert!(verify(&good).is_ok());
            let took = one.elapsed();
            longest = longest.max(took);
            over += u64::from(took > Duration::from_millis(5));
            asked += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let strangers = u32::try_from(strangers.into_inner()).unwrap_or(u32::MAX);
    let per_second = f64::from(strangers) / span.as_secs_f64();
    format!(
        "\nBeside {per_second:.0} tokens with made-up key ids a second on another thread, {over} of {asked} good tokens \
         took more than 5 ms; the longest {:.2} ms.\n",
        longest.as_secs_f64() * 1e3
    )
}

fn rows(mode: Mode) -> Vec<Row> {
    let (ec, rsa_2048, rsa_4096) = (ec(), rsa(RsaKeySize::_2048), rsa(RsaKeySize::_4096));
    let nothing = Revocations::default();
    let cache = TokenCache::new(16_384);
    let token = rsa_2048.token("k1");
    let cached = || {
        let verified = cache.verify([&rsa_2048.verifier], &nothing, token.as_bytes(), NOW);
        assert!(black_box(verified).is_ok());
    };
    let revoked = revocations();
    let cached_beside = || {
        let verified = cache.verify([&rsa_2048.verifier], &revoked, token.as_bytes(), NOW);
        assert!(black_box(verified).is_ok());
    };
    let stranger = ec.token("made-up");
    let unknown = || {
        let verified = cache.verify([&ec.verifier], &nothing, stranger.as_bytes(), NOW);
        assert!(black_box(verified).is_err());
    };
    let peer = |side: &Side| {
        let token = side.token("k1");
        Some(least(mode, 20, || side.peer_verifies(&token)))
    };
    let ours = |side: &Side| {
        let token = side.token("k1");
        least(mode, 20, || {
            assert!(black_box(side.verifier.verify(token.as_bytes(), NOW)).is_ok());
        })
    };
    vec![
        Row {
            what: "RS256 of 2048 bits, verified before",
            ours: least(mode, 1000, cached),
            peer: peer(&rsa_2048),
        },
        Row {
            what: "the same beside 100,000 revocations",
            ours: least(mode, 1000, cached_beside),
            peer: None,
        },
        Row { what: "RS256 of 2048 bits", ours: ours(&rsa_2048), peer: peer(&rsa_2048) },
        Row { what: "RS256 of 4096 bits", ours: ours(&rsa_4096), peer: peer(&rsa_4096) },
        Row { what: "ES256", ours: ours(&ec), peer: peer(&ec) },
        Row { what: "ES256 with an unknown key id", ours: least(mode, 100, unknown), peer: None },
    ]
}

/// Returns the least time of one call, in nanoseconds, over rounds of so many.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn least(mode: Mode, calls: u32, once: impl Fn()) -> f64 {
    let calls = if mode == Mode::OnePass { 1 } else { calls };
    let mut least = f64::INFINITY;
    for _ in 0..mode.rounds(300) {
        let start = Instant::now();
        (0..calls).for_each(|_| once());
        least = least.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    least
}

impl Side {
    fn token(&self, kid: &str) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(self.algorithm) };
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "5f0c1d3e9a7b4c2d8e6f", "iat": NOW_SECS - 60,
            "exp": NOW_SECS + 3000, "auth_time": NOW_SECS - 90, "email": "ada@example.com",
            "roles": ["member", "admin"],
            "firebase": {"tenant": "acme-1234", "sign_in_provider": "password", "identities": {"email": ["ada@example.com"]}},
        });
        encode(&header, &claims, &self.signing).expect("claims serialise")
    }

    fn peer_verifies(&self, token: &str) {
        let mut validation = Validation::new(self.algorithm);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        // The token's times are those of the bench.
        validation.validate_exp = false;
        let verified = jsonwebtoken::decode::<Value>(token, &self.peer, &validation);
        assert!(black_box(verified).is_ok());
    }
}

fn provider(algorithm: Alg, keys: KeySource) -> Provider {
    let path = |text| ClaimPath::parse(text).expect("a path");
    Provider::Static(StaticProvider {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: vec![algorithm],
        keys,
        claims: ClaimRules {
            tenant_claim: vec![path("firebase.tenant")],
            roles_claim: Some(path("roles")),
            scopes_claim: vec![path("scope")],
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(86_400),
        },
    })
}

fn rsa(size: RsaKeySize) -> Side {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).expect("a key");
    let public = pair.public_key_pem();
    let provider = provider(Alg::Rs256, KeySource::Pem("keys".into()));
    let secret = pair.serialize_pem();
    Side {
        verifier: Verifier::compile("main", &provider, public.as_bytes()).expect("a verifier"),
        signing: EncodingKey::from_rsa_pem(secret.as_bytes()).expect("a key"),
        peer: DecodingKey::from_rsa_pem(public.as_bytes()).expect("a key"),
        algorithm: Algorithm::RS256,
    }
}

fn ec() -> Side {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let (x, y) = pair.der_bytes().get(1..65).expect("an uncompressed point").split_at(32);
    let key = json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    let keys = json!({ "keys": [key] }).to_string();
    let provider = provider(Alg::Es256, KeySource::Jwks("keys".into()));
    let secret = pair.serialize_pem();
    Side {
        verifier: Verifier::compile("main", &provider, keys.as_bytes()).expect("a verifier"),
        signing: EncodingKey::from_ec_pem(secret.as_bytes()).expect("a key"),
        peer: DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes()).expect("a key"),
        algorithm: Algorithm::ES256,
    }
}

fn revocations() -> Revocations {
    let entries = (0..100_000).map(|n| Revocation {
        what: Revoked::Subject { provider: "main".to_owned(), subject: format!("user-{n}") },
        before: None,
        until: None,
    });
    Revocations::new(entries, NOW).expect("they fit")
}
