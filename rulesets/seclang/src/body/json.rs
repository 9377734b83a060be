//! JSON as arguments: `json.a.b` for members, `json.a.array_0` for elements, every duplicate key kept.
//!
//! A number is its text, `true` and `false` are their words, `null` is empty. Nesting is kept on a stack of our
//! own, so that depth costs no call stack.

use super::{Encoding, Limits, Parsed, Stop, to_bytes, to_text};
use jiter::{Jiter, JiterError, Peek};

/// Reads a document.
pub(super) fn parse(body: &[u8], limits: &Limits, parsed: &mut Parsed) -> Result<(), Stop> {
    let (text, encoding) = to_text(body);
    let jiter = Jiter::new(text.as_bytes());
    let mut walk =
        Walk { jiter, encoding, limits, parsed, path: b"json".to_vec(), open: Vec::new() };
    let first = walk.jiter.peek().map_err(malformed)?;
    walk.value(first)?;
    while walk.step()? {}
    walk.jiter.finish().map_err(malformed)
}

struct Walk<'a, 'j> {
    jiter: Jiter<'j>,
    encoding: Encoding,
    limits: &'a Limits,
    parsed: &'a mut Parsed,
    /// The name of the value that comes next.
    path: Vec<u8>,
    open: Vec<Open>,
}

/// An object or array that is not closed yet.
struct Open {
    /// How much of the path is its own name.
    name: usize,
    /// The index of an array's next element; `None` for an object.
    element: Option<usize>,
}

impl Walk<'_, '_> {
    /// Reads one value: writes a scalar, opens a container with its first member.
    fn value(&mut self, peek: Peek) -> Result<(), Stop> {
        let text: Vec<u8> = match peek {
            Peek::Array => {
                self.enter(Some(0))?;
                let first = self.jiter.known_array().map_err(malformed)?;
                return self.element(first);
            }
            Peek::Object => {
                self.enter(None)?;
                let key = self.jiter.known_object().map_err(malformed)?;
                let key = key.map(|key| to_bytes(key, self.encoding));
                return self.member(key);
            }
            Peek::String => {
                let text = self.jiter.known_str().map_err(malformed)?;
                to_bytes(text, self.encoding)
            }
            Peek::Null => {
                self.jiter.known_null().map_err(malformed)?;
                Vec::new()
            }
            Peek::True | Peek::False => {
                let value = self.jiter.known_bool(peek).map_err(malformed)?;
                value.to_string().into_bytes()
            }
            _ => self.jiter.known_number_bytes(peek).map_err(malformed)?.to_vec(), // or it is an error
        };
        self.parsed.push_argument(self.path.clone(), text, self.limits)
    }

    fn enter(&mut self, element: Option<usize>) -> Result<(), Stop> {
        if self.open.len() >= self.limits.depth {
            return Err(Stop::Limit);
        }
        self.open.push(Open { name: self.path.len(), element });
        Ok(())
    }

    /// Goes on in the innermost container. Returns whether there is one.
    fn step(&mut self) -> Result<bool, Stop> {
        let Some(open) = self.open.last() else { return Ok(false) };
        self.path.truncate(open.name);
        if open.element.is_some() {
            let next = self.jiter.array_step().map_err(malformed)?;
            self.element(next)?;
        } else {
            let key = self.jiter.next_key().map_err(malformed)?;
            let key = key.map(|key| to_bytes(key, self.encoding));
            self.member(key)?;
        }
        Ok(true)
    }

    fn element(&mut self, next: Option<Peek>) -> Result<(), Stop> {
        let (Some(peek), Some(Open { element: Some(index), .. })) = (next, self.open.last_mut())
        else {
            return self.leave();
        };
        self.path.extend_from_slice(format!(".array_{index}").as_bytes());
        *index += 1;
        self.value(peek)
    }

    fn member(&mut self, key: Option<Vec<u8>>) -> Result<(), Stop> {
        let Some(key) = key else { return self.leave() };
        self.path.push(b'.');
        self.path.extend_from_slice(if key.is_empty() { b"empty-key" } else { &key });
        let peek = self.jiter.peek().map_err(malformed)?;
        self.value(peek)
    }

    /// Closes the innermost container.
    #[expect(clippy::unnecessary_wraps, reason = "it ends the functions that open one")]
    fn leave(&mut self) -> Result<(), Stop> {
        self.open.pop();
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn malformed(error: JiterError) -> Stop {
    Stop::error(format!("JSON: {} at byte {}", error.error_type, error.index))
}
