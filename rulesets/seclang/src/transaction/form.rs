//! `name=value&…`: the query, and a body of the same form while it arrives.

use super::state::State;
use crate::variable::Variable;

impl State {
    /// Cuts a whole query into arguments.
    pub(crate) fn query_arguments(&mut self, text: &[u8], max: usize) {
        let (mut count, mut broken) = (0, false);
        for piece in text.split(|b| *b == b'&').filter(|piece| !piece.is_empty()) {
            if count >= max {
                self.too_many_arguments();
                break;
            }
            count += 1;
            broken |= self.argument(piece, Variable::ArgsGet, Variable::ArgsGetNames);
        }
        if broken {
            self.values.set(Variable::UrlencodedError, b"1");
        }
    }

    /// Cuts what has arrived of a form at its separators; with `ended` the rest is an argument too.
    pub(crate) fn cut_form(&mut self, max: usize, ended: bool) {
        let raw = std::mem::take(&mut self.body.raw);
        while let Some(rest) = raw.get(self.body.form.scanned..) {
            let Some(at) = memchr::memchr(b'&', rest) else { break };
            let end = self.body.form.scanned + at;
            self.form_piece(raw.get(self.body.form.start..end).unwrap_or_default(), max);
            self.body.form.start = end + 1;
            self.body.form.scanned = end + 1;
        }
        self.body.form.scanned = raw.len();
        if ended {
            self.form_piece(raw.get(self.body.form.start..).unwrap_or_default(), max);
            self.body.form.start = raw.len();
        }
        self.body.raw = raw;
    }

    fn form_piece(&mut self, piece: &[u8], max: usize) {
        if piece.is_empty() {
            return;
        }
        if self.body.form.count >= max {
            self.too_many_arguments();
            return;
        }
        self.body.form.count += 1;
        if self.argument(piece, Variable::ArgsPost, Variable::ArgsPostNames) {
            self.values.set(Variable::UrlencodedError, b"1");
        }
    }

    fn too_many_arguments(&mut self) {
        if self.values.text(Variable::ReqbodyError) != b"1" {
            self.values.set(Variable::ReqbodyError, b"1");
            self.values.set(Variable::ReqbodyErrorMsg, b"too many arguments");
        }
    }

    /// Adds one argument; says whether one of its escapes is broken.
    fn argument(&mut self, piece: &[u8], list: Variable, names: Variable) -> bool {
        let mut name = std::mem::take(&mut self.scratch.name);
        let mut value = std::mem::take(&mut self.scratch.value);
        name.clear();
        value.clear();
        let equals = memchr::memchr(b'=', piece);
        let (raw_name, raw_value) = match equals {
            Some(at) => (piece.get(..at), piece.get(at + 1..)),
            None => (Some(piece), None),
        };
        let mut broken = decode(raw_name.unwrap_or_default(), &mut name, b' ');
        broken |= decode(raw_value.unwrap_or_default(), &mut value, b' ');
        self.values.add(list, &name, &value);
        self.values.add_name_of_last(names);
        self.scratch.name = name;
        self.scratch.value = value;
        broken
    }
}

/// Decodes `%hh`, and `+` to what `plus` says; tells whether an escape was broken (it stays as it is).
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>, plus: u8) -> bool {
    let mut broken = false;
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'%', b'+', rest) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = match from {
            [b'+', tail @ ..] => {
                out.push(plus);
                tail
            }
            [b'%', high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                let digit = |b: &u8| hex(*b).unwrap_or(0);
                out.push(digit(high) << 4 | digit(low));
                tail
            }
            [first, tail @ ..] => {
                broken = true;
                out.push(*first);
                tail
            }
            [] => from,
        };
    }
    out.extend_from_slice(rest);
    broken
}

fn hex(byte: u8) -> Option<u8> {
    crate::transformation::hex_digit(byte)
}
