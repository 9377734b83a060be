use super::*;
use crate::diagnostic::{Style, render_all};

const DEVELOPMENT: &str = include_str!("../../examples/development.yaml");

fn decode_text(text: &str) -> Decoded {
    decode(&SourceFile::new("edge.yaml", text), Path::new("/etc/portcullis"), Files::MadeLater)
}

#[test]
fn the_embedded_default_has_no_problems() {
    let decoded = decode_text(DEVELOPMENT);
    assert!(decoded.problems.is_empty(), "{}", render_all(&decoded.problems, Style::Plain));
    assert!(decoded.config.is_some());
    assert!(decoded.used.contains(&("", "version")));
}
