use crate::settings::source::parse;
use crate::settings::{Algorithms, GoogleCredentials, KeyPlace, Settings};
use crate::signing::Algorithm;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const KEY: &str = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/receipts";

fn private(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn read(dir: &Path, signing: &str) -> Result<Settings, String> {
    let yaml = format!(
        "version: 1\nlisten: {{ unix: l.sock }}\ndatabase: {{ sqlite: l.db }}\nedge_keys: e.jwks\nsigning: {signing}\n"
    );
    parse(yaml.as_bytes(), "license.yaml", dir).map_err(|error| error.to_string())
}

#[test]
fn a_token_is_named_by_its_label_and_its_pin_is_a_reference() {
    let dir = tempfile::tempdir().unwrap();
    private(dir.path(), "pin", "5678\n");
    let good = "{ pkcs11: { module: /lib/hsm.so, token: license, pin: file:pin } }";
    let settings = read(dir.path(), good).unwrap();
    assert!(!format!("{settings:?}").contains("5678"));
    let Some(KeyPlace::Pkcs11(token)) = settings.key_place else { panic!("{settings:?}") };
    assert_eq!((token.token.as_str(), token.key_label.as_str()), ("license", "license-core"));
    assert_eq!(token.pin.reveal(), "5678");
    let long = "l".repeat(33);
    for (from, to, says) in [
        ("file:pin", "5678", "never inline"),
        ("file:pin", "file:none", "none"),
        ("license", "''", "1 to 32 bytes"),
        ("license", long.as_str(), "1 to 32 bytes"),
        ("module", "library", "library"),
        ("pin: file:pin", "pin: file:pin, key_label: ''", "1 to 64 bytes"),
    ] {
        let error = read(dir.path(), &good.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(says) && error.contains('^'), "{from} -> {to}: {error}");
    }
    let error = read(dir.path(), "{}").unwrap_err();
    assert!(error.contains("needs `wrapping_key`"), "{error}");
}

#[test]
fn algorithms_are_chosen_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let read = |algorithms: &str| read(dir.path(), &format!("{{ wrapping_key: w{algorithms} }}"));
    let of = |text: &str| read(text).unwrap().algorithms;
    assert_eq!(of(""), Algorithms { receipts: Algorithm::EdDsa, files: Algorithm::Rs512 });
    let chosen = ", algorithms: { receipts: ES256, files: EdDSA }";
    assert_eq!(of(chosen), Algorithms { receipts: Algorithm::Es256, files: Algorithm::EdDsa });
    assert_eq!(of(", algorithms: { receipts: RS512 }").receipts, Algorithm::Rs512);
    for (bad, says) in [
        (", algorithms: { receipts: none }", "`none` is not one of"),
        (", algorithms: { receipts: eddsa }", "`eddsa` is not one of"),
        (", algorithms: { receipt: EdDSA }", "receipt"),
    ] {
        let error = read(bad).unwrap_err();
        assert!(error.contains(says), "{bad}: {error}");
    }
}

#[test]
fn a_cloud_is_named_by_its_keys_and_asked_at_an_address_that_cannot_be_overheard() {
    let dir = tempfile::tempdir().unwrap();
    let account = r#"{"type": "service_account", "client_email": "a@b", "private_key_id": "k", "private_key": "pem"}"#;
    private(dir.path(), "account.json", account);
    private(dir.path(), "other.json", r#"{"type": "authorized_user"}"#);
    let good = format!("{{ google_kms: {{ receipts: {KEY}, credentials: file:account.json }} }}");
    let settings = read(dir.path(), &good).unwrap();
    let Some(KeyPlace::GoogleKms(kms)) = settings.key_place else { panic!("{settings:?}") };
    assert_eq!(kms.endpoint.authority(), "cloudkms.googleapis.com");
    assert!(
        matches!(&kms.credentials, GoogleCredentials::ServiceAccount(one) if one.client_email == "a@b")
    );
    let here = good.replace("file:account.json", "metadata, endpoint: 'http://127.0.0.1:9'");
    assert!(read(dir.path(), &here).is_ok());
    for (from, to, says) in [
        (KEY, "projects/p", "a key is named"),
        (KEY, "projects/p/locations/l/keyRings/r/cryptoKeys/../x", "a key is named"),
        ("file:account.json", "file:other.json", "not the JSON"),
        ("file:account.json", "metadata, endpoint: 'http://kms.example'", "plain `http://`"),
        ("file:account.json", "metadata, endpoint: 'https://u@kms.example'", "plain `http://`"),
        ("file:account.json", "metadata, metadata_server: 'http://10.0.0.1'", "of this machine"),
        (
            "file:account.json",
            "file:account.json, metadata_server: 'http://127.0.0.1:1'",
            "`credentials: metadata` only",
        ),
        ("receipts", "receipt", "receipt"),
    ] {
        let error = read(dir.path(), &good.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(says) && error.contains('^'), "{from} -> {to}: {error}");
    }
    private(dir.path(), "pin", "1");
    let both = good.replacen("{ ", "{ pkcs11: { module: m, token: t, pin: file:pin }, ", 1);
    assert!(read(dir.path(), &both).unwrap_err().contains("one place for keys"));
}
