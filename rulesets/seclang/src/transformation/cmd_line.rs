//! `cmdLine`: what a shell or `cmd.exe` would read through its quoting.
//!
//! Source: ModSecurity v3 reference. Deletes `\ " ' ^`, turns `,`, `;` and white space into one space, deletes
//! that space before `/` and `(`, lowers letters. Example: `C^OMMAND /c DIR` → `command/c dir`.

/// Normalises a command line.
pub(super) fn cmd_line(input: &[u8], out: &mut Vec<u8>) {
    let mut space = false;
    for byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !space {
                    out.push(b' ');
                }
                space = true;
            }
            other => {
                if space && matches!(other, b'/' | b'(') {
                    out.pop();
                }
                space = false;
                out.push(other.to_ascii_lowercase());
            }
        }
    }
}
