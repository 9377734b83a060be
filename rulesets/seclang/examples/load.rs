//! Loads a rule file and says what it holds: `load FILE`.

#![expect(clippy::print_stdout, reason = "an example talks to its terminal")]

#[path = "../tests/regression/files.rs"]
mod files;

fn main() {
    let Some(path) = std::env::args().nth(1) else { return };
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    match seclang::Program::compile(&path, &text, &files::Files) {
        Ok(compiled) => {
            for note in &compiled.notes {
                println!("{note}");
            }
            println!("{} rules, {} notes", compiled.program.rules().len(), compiled.notes.len());
        }
        Err(errors) => {
            for error in &errors {
                println!("{error}\n");
            }
            println!("{} errors", errors.len());
        }
    }
}
