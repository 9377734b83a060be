use super::keys::SECTIONS;
use super::*;
use crate::diagnostic::{Style, render_all};

mod across;
mod broken;
mod documentation;
mod ranges;
mod rejections;

const SAMPLES: [(&str, &str); 4] = [
    ("development.yaml", include_str!("../../examples/development.yaml")),
    ("staging.yaml", include_str!("../../examples/staging.yaml")),
    ("production.yaml", include_str!("../../examples/production.yaml")),
    ("reference.yaml", REFERENCE),
];
const REFERENCE: &str = include_str!("../../examples/reference.yaml");

/// Decodes without looking for the files.
fn decode_text(text: &str) -> Decoded {
    decode(&SourceFile::new("edge.yaml", text), Path::new("/etc/portcullis"), Files::MadeLater)
}

fn codes(text: &str) -> Vec<&'static str> {
    decode_text(text).problems.iter().map(|problem| problem.code).collect()
}

/// The one change of a text that a case is about.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` stands once in the text");
    text.replacen(from, to, 1)
}

#[test]
fn every_sample_is_sound() {
    for (name, text) in SAMPLES {
        let decoded = decode_text(text);
        let warned: Vec<_> = decoded.problems.iter().map(|problem| problem.code).collect();
        let expected: &[&str] = match name {
            "production.yaml" => &["per-node-limits"],
            // It has every key, and so both.
            "reference.yaml" => &["client-certificates-without-tls"],
            _ => &[],
        };
        // The credentials of staging are there only under systemd; the test of the files gives them.
        let warned: Vec<_> =
            warned.into_iter().filter(|code| *code != "unreadable-secret").collect();
        assert_eq!(warned, expected, "{name}\n{}", render_all(&decoded.problems, Style::Plain));
        assert!(decoded.config.is_some() || name == "staging.yaml", "{name}");
    }
}

#[test]
fn every_key_has_a_sample() {
    let used: BTreeSet<_> = SAMPLES.iter().flat_map(|(_, text)| decode_text(text).used).collect();
    let mut rows = 0;
    for section in SECTIONS {
        for key in section.keys {
            assert!(
                used.contains(&(section.path, key.name)),
                "`{}` of `{}` has no sample",
                key.name,
                section.path
            );
            rows += 1;
        }
    }
    assert!(rows > 80, "{rows}");
}

#[test]
fn defaults_of_the_table_are_what_decoding_gives() {
    let config = decode_text(SAMPLES[0].1).config.unwrap();
    let license = &config.backends["license"];
    assert_eq!(license.timeout.as_secs(), 30);
    assert_eq!(license.connect_timeout.as_secs(), 5);
    assert_eq!(license.drain.as_secs(), 60);
    assert!(
        license.assertion && license.no_store,
        "the embedded license service is a license backend"
    );
    assert_eq!(config.limits.body_bytes, 1024 * 1024);
    assert_eq!(config.limits.rate_keys, 100_000);
    assert_eq!(config.license.lease.as_secs(), 360);
    assert_eq!(config.license.socket, Path::new("/etc/portcullis/license.sock"));
    assert_eq!(config.state_dir, Path::new("/etc/portcullis"));
}

#[test]
fn routes_come_longest_path_first() {
    let config = decode_text(SAMPLES[2].1).config.unwrap();
    let paths: Vec<_> = config
        .host("Licenses.Example.COM")
        .unwrap()
        .routes
        .iter()
        .map(|route| route.path.as_str())
        .collect();
    assert_eq!(paths, ["/api/v1/auth/", "/health", "/"]);
    assert!(config.host("evil.example").is_none());
}
