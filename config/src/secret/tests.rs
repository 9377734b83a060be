use std::os::unix::fs::PermissionsExt;

use super::*;

fn key_with_mode(mode: u32) -> (tempfile::TempDir, SecretRef) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tls.key");
    std::fs::write(&path, "hush").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (dir, SecretRef::File(path))
}

#[test]
fn only_a_file_of_its_owner_alone_is_a_secret() {
    for (mode, readable) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o440, false),
        (0o604, false),
        (0o644, false),
        (0o620, false),
    ] {
        let (_dir, reference) = key_with_mode(mode);
        let answer = reference.read();
        match answer {
            Ok(secret) => {
                assert!(readable, "{mode:o} was read");
                assert_eq!(secret.expose(), b"hush");
            }
            Err(SecretError::SharedMode { mode: said, .. }) => {
                assert!(!readable, "{mode:o} was refused");
                assert_eq!(said, mode);
            }
            Err(other) => panic!("{mode:o}: {other}"),
        }
    }
}

#[test]
fn a_secret_that_changes_is_read_anew() {
    let (_dir, reference) = key_with_mode(0o600);
    assert_eq!(reference.read().unwrap().expose(), b"hush");
    std::fs::write(reference.path().unwrap(), "other").unwrap();
    assert_eq!(reference.read().unwrap().expose(), b"other");
}

#[test]
fn what_cannot_be_read_says_what_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o600)).unwrap();
    let cases = [
        (SecretRef::File(dir.path().join("none")), "none`: there is no such file"),
        (SecretRef::File(dir.path().to_owned()), "is not a file"),
        (SecretRef::File(empty), "is empty"),
        (SecretRef::Env("PORTCULLIS_TEST_UNSET".into()), "`PORTCULLIS_TEST_UNSET` is not set"),
    ];
    for (reference, expected) in cases {
        let said = reference.read().unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_variable_of_the_environment_can_be_a_secret() {
    assert!(!SecretRef::Env("PATH".into()).read().unwrap().expose().is_empty());
}

#[test]
fn a_secret_is_never_printed() {
    let secret = Secret::new(b"hush".to_vec());
    assert_eq!(format!("{secret:?}"), "Secret(redacted)");
}
