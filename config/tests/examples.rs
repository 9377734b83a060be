//! The samples load as an operator would load them: from a directory, with the files that they name.

#![expect(clippy::unwrap_used, reason = "what a test prepares is there, or the test has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portcullis_config::{
    Diagnostic, Loaded, Report, SourceFile, Style, armor, embedded_default, load, load_str,
};

/// A machine of its own: a directory in place of `/`, with what a sample names.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        for directory in [
            "usr/share/modsecurity-crs",
            "var/lib/portcullis",
            "var/log/portcullis",
            "etc/portcullis/identity",
        ] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        let etc = Path::new("etc/portcullis");
        for public in
            ["tls.crt", "known-bad.txt", "identity/platform.jwks.json", "policies/license-api.yaml"]
        {
            machine.write(etc.join(public), "public", 0o644);
        }
        machine.write(etc.join("policies/web.yaml"), include_str!("../policies/web.yaml"), 0o644);
        machine.write(etc.join("policies/web-tests.yaml"), "policy: web.yaml", 0o644);
        for private in ["tls.key", "edge-assertion.key"] {
            machine.write(etc.join(private), "private", 0o600);
        }
        machine.write("var/lib/portcullis/country.mmdb", "database", 0o644);
        machine
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: impl AsRef<Path>, text: &str, mode: u32) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Loads a sample as `/etc/portcullis/portcullis.yaml` of this machine.
    fn load(&self, sample: &str) -> Result<Loaded, Report> {
        let mut text = sample.to_owned();
        for top in ["/etc/", "/usr/", "/var/"] {
            text = text.replace(top, &format!("{}{top}", self.root.path().display()));
        }
        self.write("etc/portcullis/portcullis.yaml", &text, 0o644);
        load(&self.path("etc/portcullis/portcullis.yaml"))
    }
}

const PRODUCTION: &str = include_str!("../examples/production.yaml");
const STAGING: &str = include_str!("../examples/staging.yaml");
const DEVELOPMENT: &str = include_str!("../examples/development.yaml");

fn refusals(answer: Result<Loaded, Report>) -> Vec<String> {
    answer
        .err()
        .map(|report| report.errors().map(ToString::to_string).collect())
        .unwrap_or_default()
}

#[test]
fn production_loads_with_the_files_it_names() {
    let machine = Machine::new();
    let loaded =
        machine.load(PRODUCTION).unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert_eq!(loaded.config.hosts.len(), 4);
    assert_eq!(loaded.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), ["per-node-limits"]);
    for watched in [
        "portcullis.yaml",
        "tls.crt",
        "tls.key",
        "known-bad.txt",
        "policies/web.yaml",
        "identity/platform.jwks.json",
    ] {
        let path = machine.path("etc/portcullis").join(watched);
        assert!(loaded.files.contains(&path), "{watched} is watched: {:?}", loaded.files);
    }
}

#[test]
fn staging_loads_once_its_credentials_are_files() {
    // The variable of systemd belongs to the whole process, so that the test names the files in its place.
    let machine = Machine::new();
    let text = STAGING.replace("credential:tls.", "file:/etc/portcullis/tls.");
    let loaded =
        machine.load(&text).unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.hosts.len(), 4);
}

/// A unit's environment belongs to a whole process, so the test runs itself again in one that has it.
#[test]
fn credentials_are_files_in_the_directory_of_the_unit() {
    let machine = Machine::new();
    if std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        let refused = refusals(machine.load(STAGING));
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused.iter().all(|line| line.contains("`CREDENTIALS_DIRECTORY` is not set")));
        let again = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "credentials_are_files_in_the_directory_of_the_unit"])
            .env("CREDENTIALS_DIRECTORY", machine.path("etc/portcullis"))
            .output()
            .unwrap();
        assert!(again.status.success(), "{again:?}");
        return;
    }
    let loaded =
        machine.load(STAGING).unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn development_loads_once_its_files_are_made() {
    let machine = Machine::new();
    let made = Path::new("etc/portcullis/dev");
    for public in ["tls.crt", "jwks.json", "known-bad.txt"] {
        machine.write(made.join(public), "public", 0o644);
    }
    machine.write(made.join("tls.key"), "private", 0o600);
    let loaded = machine
        .load(DEVELOPMENT)
        .unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn the_embedded_default_stands_under_its_data_directory() {
    let loaded = embedded_default(Path::new("data")).unwrap();
    assert!(loaded.warnings.is_empty());
    assert!(loaded.files.iter().all(|file| file.starts_with("data")), "{:?}", loaded.files);
    assert_eq!(loaded.config.state_dir, Path::new("data"));
    assert_eq!(loaded.config.admin.socket, Path::new("data/admin.sock"));
    assert_eq!(loaded.config.listeners[0].address, "127.0.0.1:8443".parse().unwrap());
    assert!(loaded.config.host("127.0.0.1").is_some() && loaded.config.host("localhost").is_some());
    // The lines to try would end at the injection if it were answered with a limit.
    assert!(loaded.config.incidents.dry_run);
}

#[test]
fn a_data_directory_that_is_too_deep_for_a_socket_is_refused() {
    let refused = refusals(embedded_default(Path::new(&"d/".repeat(60))));
    assert!(
        !refused.is_empty() && refused.iter().all(|line| line.contains("socket-path-too-long")),
        "{refused:?}"
    );
}

#[test]
fn every_file_that_is_not_there_is_told_at_once() {
    let machine = Machine::new();
    let etc = machine.path("etc/portcullis");
    for gone in ["tls.crt", "known-bad.txt", "policies/web.yaml", "identity/platform.jwks.json"] {
        fs::remove_file(etc.join(gone)).unwrap();
    }
    fs::remove_dir(machine.path("usr/share/modsecurity-crs")).unwrap();
    let refused = refusals(machine.load(PRODUCTION));
    assert_eq!(refused.len(), 5, "{refused:?}");
    assert!(
        refused
            .iter()
            .all(|line| line.contains("unreadable-file") && line.contains("portcullis.yaml:")),
        "{refused:?}"
    );
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    for (mode, refused) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o644, 1)] {
        let machine = Machine::new();
        machine.write("etc/portcullis/tls.key", "private", mode);
        let found = refusals(machine.load(PRODUCTION));
        assert_eq!(found.len(), refused, "{mode:o} {found:?}");
    }
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_refused() {
    let machine = Machine::new();
    assert!(refusals(load(&machine.path("none.yaml")))[0].contains("there is no such file"));
    assert!(refusals(load(machine.root.path()))[0].contains("is a directory"));
    fs::write(machine.path("latin1.yaml"), b"version: 1\n# caf\xe9\n").unwrap();
    assert!(refusals(load(&machine.path("latin1.yaml")))[0].contains("it is not UTF-8 (byte 16)"));
    fs::write(machine.path("empty.yaml"), b"").unwrap();
    assert!(refusals(load(&machine.path("empty.yaml")))[0].contains("the file is empty"));
}

#[test]
fn a_refused_file_still_says_what_to_watch() {
    let machine = Machine::new();
    let report = machine.load(&PRODUCTION.replace("version: 1", "version: 9")).unwrap_err();
    assert!(report.files.contains(&machine.path("etc/portcullis/tls.key")));
    assert!(report.files.contains(&machine.path("etc/portcullis/portcullis.yaml")));
}

#[test]
fn a_problem_of_a_named_file_has_its_caret_in_the_configuration() {
    let machine = Machine::new();
    let config = machine.load(PRODUCTION).unwrap().config;
    let wrong = || Diagnostic::error("key-invalid", "no private key");
    for file in ["tls.crt", "tls.key", "policies/web.yaml"] {
        let placed = config.places.placed(wrong(), &machine.path("etc/portcullis").join(file));
        let line = 1 + PRODUCTION.lines().position(|line| line.contains(file)).unwrap();
        assert_eq!(placed.at.unwrap().line, line, "{file}");
    }
    assert!(config.places.placed(wrong(), Path::new("/other")).at.is_none());
    let moved = machine.load(&format!("# A comment.\n{PRODUCTION}")).unwrap().config;
    assert_eq!(config, moved);
    assert_eq!(format!("{config:?}"), format!("{moved:?}"));
}

#[test]
fn a_text_is_loaded_like_a_file() {
    let machine = Machine::new();
    let refused = refusals(load_str("typed.yaml", "version: 1\n", machine.root.path()));
    assert!(
        refused.len() == 6
            && refused.iter().all(|line| line.starts_with("typed.yaml:1:1: error: ")),
        "{refused:?}"
    );
}

#[test]
fn the_web_policy_is_sound() {
    let source = SourceFile::new("web.yaml", include_str!("../policies/web.yaml"));
    let (policy, warnings) = armor::parse(&source).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(policy.rules.len(), 6);
}
