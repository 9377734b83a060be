//! The one strict reading of an HTTP/1 connection, before anything else looks at a byte of it.
//!
//! Two parsers that read one request differently are how requests are smuggled. So the bytes are read here, by rules
//! with no leniency in them, and what stands behind is handed one whole head at a time and never a byte beyond the
//! request that it belongs to. Pingora repairs targets, accepts bare line feeds and chunk extensions, and gives up a
//! connection on bytes that come early; none of that is met any more.
//!
//! Pure over bytes; [`super::guard`] does the reading. A head is handed on when it is whole, a body as it comes, the
//! next request when the one before it is over. Costs one pass over heads and chunk lines; bodies are counted, not read.

mod chunks;
mod head;

use tokio::io::ReadBuf;

use self::chunks::Chunks;
use self::head::{Body, Head};
use crate::reason::Reason;

pub(super) use self::head::HeadLimits;

/// Why the bytes are not HTTP/1 as we accept it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The head is refused; there is no request.
    Head(Malformed),
    /// The framing of a body breaks off; its request is being worked on.
    Body(&'static str),
}

/// What is refused before it becomes a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed {
    /// What the client is told.
    pub(crate) reason: Reason,
    /// What the log says.
    pub(crate) detail: &'static str,
}

/// Where in a connection's bytes we are, and the bytes that may not be handed on yet.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    limits: HeadLimits,
    held: Vec<u8>,
    /// How many of the held bytes, from the first, may be handed on.
    ready: usize,
    requests: u64,
    /// What a body broke off with whose head was handed on first.
    broken: Option<&'static str>,
}

#[derive(Debug)]
enum State {
    Head(Head),
    Length(u64),
    Chunked(Chunks),
    /// The protocol has been switched: the bytes are no longer HTTP.
    Tunnel,
}

impl Framing {
    /// Starts at the first byte of a connection.
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            state: State::Head(Head::default()),
            limits,
            held: Vec::new(),
            ready: 0,
            requests: 0,
            broken: None,
        }
    }

    /// How many heads have been handed on.
    pub(super) const fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether the next byte begins a request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.ready == 0 && matches!(&self.state, State::Head(head) if head.is_at_its_begin())
    }

    /// Whether bytes are held back.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// From here on the bytes are another protocol's.
    pub(super) fn switch_protocol(&mut self) {
        self.state = State::Tunnel;
    }

    /// Hands on what may be handed on of the held bytes; says whether there was any.
    pub(super) fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> Result<bool, Fault> {
        if self.ready == 0 && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let ready = self.advance(&held);
            self.held = held;
            self.ready = ready?;
        }
        let now = self.ready.min(buf.remaining());
        buf.put_slice(self.held.get(..now).unwrap_or_default());
        self.held.drain(..now);
        self.ready -= now;
        Ok(now > 0)
    }

    /// Looks at the bytes that were just read behind the first `before` of `buf`, and takes back what may not be handed
    /// on; all of it where the next request has to wait for its turn.
    pub(super) fn inspect(
        &mut self,
        buf: &mut ReadBuf<'_>,
        before: usize,
        may_begin: bool,
    ) -> Result<(), Fault> {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let passing = if may_begin && self.held.is_empty() { self.advance(fresh)? } else { 0 };
        self.held.extend_from_slice(fresh.get(passing..).unwrap_or_default());
        buf.set_filled(before + passing);
        Ok(())
    }

    /// Reads on in `bytes`, the first of which follows the last that was handed on; returns how many belong to this
    /// request. None while its head is not whole.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        if let Some(why) = self.broken {
            return Err(Fault::Body(why));
        }
        let mut passing = 0;
        if let State::Head(head) = &mut self.state {
            let Some((end, body)) = head.advance(bytes, &self.limits).map_err(Fault::Head)? else {
                return Ok(0);
            };
            passing = end;
            self.requests += 1;
            self.state = match body {
                Body::None => State::Head(Head::default()),
                Body::Length(length) => State::Length(length),
                Body::Chunked => State::Chunked(Chunks::default()),
            };
        }
        let rest = bytes.get(passing..).unwrap_or_default();
        match &mut self.state {
            State::Head(_) => return Ok(passing),
            State::Tunnel => return Ok(bytes.len()),
            State::Length(left) => {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                passing += taken;
                if *left > 0 {
                    return Ok(passing);
                }
            }
            State::Chunked(chunks) => {
                match chunks.advance(rest) {
                    Ok(taken) => passing += taken,
                    // The head goes first: whoever reads the body is told, and answers.
                    Err(why) => {
                        self.broken = Some(why);
                        return if passing > 0 { Ok(passing) } else { Err(Fault::Body(why)) };
                    }
                }
                if !chunks.is_over() {
                    return Ok(passing);
                }
            }
        }
        self.state = State::Head(Head::default());
        Ok(passing)
    }
}

#[cfg(test)]
mod tests;
