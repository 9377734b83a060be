//! Writing a bench's table down.

use std::fs;
use std::io;
use std::path::Path;

use crate::mode::Mode;

/// Prints the text, and writes it to `benches/record/NAME.md` where the mode asks for it.
///
/// # Errors
/// When the record cannot be written.
#[expect(clippy::print_stdout, reason = "a bench's output is its result")]
pub fn publish(mode: Mode, name: &str, text: &str) -> io::Result<()> {
    println!("{text}");
    if mode == (Mode::Measure { record: true }) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("record").join(format!("{name}.md"));
        fs::write(path, format!("{text}\n"))?;
    }
    Ok(())
}
