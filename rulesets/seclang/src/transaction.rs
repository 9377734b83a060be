//! One request's way through a program, fed piece by piece.

mod body;
mod calendar;
mod effects;
mod evaluate;
mod expand;
mod form;
mod groups;
mod hits;
mod persistent;
mod request;
mod state;
mod texts;
mod tx;
mod values;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;

pub use hits::Match;
pub use persistent::Store;
pub use state::{Fired, Intervention, InterventionAction};
pub use watch::{Clock, Ran};

use crate::program::{EngineMode, Program, RuleIndex};
use crate::variable::Variable;
use state::State;

/// Whether the transaction may go on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Outcome {
    /// Nothing stands against it.
    Continue,
    /// A rule or a limit ended it; [`Transaction::intervention`] says how.
    Interrupted,
}

/// One request's way through a program.
///
/// The order of calls is that of a request: connection, request line, headers, end of headers
/// (phase 1), body, end of body (phase 2), then the same for the answer (phases 3 and 4), then
/// logging (phase 5). What is not called is simply absent for the rules.
#[derive(Debug)]
pub struct Transaction {
    program: Arc<Program>,
    state: State,
}

impl Transaction {
    /// Starts a transaction.
    pub fn new(program: Arc<Program>) -> Self {
        let state = State::new(&program);
        Self { program, state }
    }

    /// Makes the transaction as new for the same program, keeping its memory.
    pub fn reset(&mut self) {
        self.state.reset(&self.program);
    }

    /// The program that it runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Says who talks to whom.
    pub fn connection(
        &mut self,
        client: IpAddr,
        client_port: u16,
        server: IpAddr,
        server_port: u16,
    ) {
        let values = &mut self.state.values;
        values.set(Variable::RemoteAddr, client.to_string().as_bytes());
        values.set_number(Variable::RemotePort, usize::from(client_port));
        values.set(Variable::ServerAddr, server.to_string().as_bytes());
        values.set_number(Variable::ServerPort, usize::from(server_port));
    }

    /// Gives the transaction its id (`UNIQUE_ID`).
    pub fn unique_id(&mut self, id: &[u8]) {
        self.state.values.set(Variable::UniqueId, id);
    }

    /// Says how long the transaction has taken so far, in microseconds (`DURATION`).
    pub fn elapsed(&mut self, micros: u64) {
        self.state
            .values
            .set_number(Variable::Duration, usize::try_from(micros).unwrap_or(usize::MAX));
    }

    /// Says when the request came, in seconds since 1970 (`TIME`, `TIME_EPOCH`, `TIME_HOUR`, …, in UTC). Without it they
    /// are empty.
    pub fn received(&mut self, epoch_secs: u64) {
        calendar::set(&mut self.state.values, &self.program, epoch_secs);
    }

    /// Says from which country the client comes (`GEO:COUNTRY_CODE`, two letters). Without it
    /// `@geoLookup` does not match.
    pub fn country(&mut self, code: &[u8]) {
        self.state.values.clear(Variable::Geo);
        self.state.values.add(Variable::Geo, b"COUNTRY_CODE", code);
        self.state.has_country = true;
    }

    /// Gives the request line. `uri` as it was sent, query included; `version` like `HTTP/1.1`.
    pub fn request_line(&mut self, method: &[u8], uri: &[u8], version: &[u8]) {
        let max = self.program.settings.arguments_max;
        self.state.fill_request_line(method, uri, version, max);
    }

    /// Adds a request header, value as it was sent.
    pub fn request_header(&mut self, name: &[u8], value: &[u8]) {
        self.state.fill_request_header(name, value);
    }

    /// Has the request's body read as one of this media type, whatever its headers say of it. For a caller that knows
    /// better: the headers that rules see stay those of the client. Nothing for a type that is not read.
    pub fn body_type(&mut self, media_type: &[u8]) {
        self.state.name_body(media_type);
    }

    /// Ends the request's headers: runs phase 1.
    pub fn request_headers(&mut self) -> Outcome {
        self.phase(1)
    }

    /// Appends a piece of the request's body, which is read at once. How a body is cut into pieces changes nothing.
    pub fn request_body(&mut self, chunk: &[u8]) -> Outcome {
        let taken = self.state.take_request_body(&self.program, chunk);
        self.taken(taken, 413)
    }

    /// Ends the request's body: runs phase 2.
    pub fn request_body_end(&mut self) -> Outcome {
        self.state.finish_request_body(&self.program);
        self.phase(2)
    }

    /// Gives the status line of the answer.
    pub fn response_status(&mut self, status: u16, version: &[u8]) {
        self.state.values.set_number(Variable::ResponseStatus, usize::from(status));
        self.state.values.set(Variable::ResponseProtocol, version);
    }

    /// Adds a response header.
    pub fn response_header(&mut self, name: &[u8], value: &[u8]) {
        self.state.fill_response_header(name, value);
    }

    /// Ends the response's headers: runs phase 3.
    pub fn response_headers(&mut self) -> Outcome {
        self.phase(3)
    }

    /// Appends a piece of the response's body.
    pub fn response_body(&mut self, chunk: &[u8]) -> Outcome {
        let taken = self.state.take_response_body(&self.program, chunk);
        self.taken(taken, 500)
    }

    /// Ends the response's body: runs phase 4.
    pub fn response_body_end(&mut self) -> Outcome {
        self.state.finish_response_body(&self.program);
        self.phase(4)
    }

    /// Runs the logging phase (5), which interrupts nothing.
    pub fn logging(&mut self) {
        self.state.run_phase(&self.program, 5);
    }

    /// Every (rule, variable) match of the rules that log, in the order in which they ran.
    pub fn matches(&self) -> &[Match] {
        &self.state.matches
    }

    /// Every rule that matched and logs, with its message and log data written out.
    pub fn fired(&self) -> &[Fired] {
        &self.state.fired
    }

    /// How the transaction is to end; nothing while it may go on, and always nothing in
    /// `DetectionOnly`.
    pub fn intervention(&self) -> Option<&Intervention> {
        self.state.intervention.as_ref()
    }

    /// The first intervention that was recorded and not applied: in `DetectionOnly`, or in phase 5.
    pub fn detected(&self) -> Option<&Intervention> {
        self.state.detected.as_ref()
    }

    /// Gives persistent collections (`IP`, `GLOBAL`, `SESSION`, `USER`, `RESOURCE`) a store. Without one
    /// they last for one transaction.
    pub fn set_store(&mut self, store: Arc<dyn Store>) {
        self.state.store = Some(store);
    }

    /// Overrides `SecRuleEngine`.
    pub fn set_engine(&mut self, mode: EngineMode) {
        self.state.mode = mode;
    }

    /// Takes a rule out for this transaction, as `ctl:ruleRemoveById` does.
    pub fn remove_rule(&mut self, rule: RuleIndex) {
        self.state.remove_rule(rule);
    }

    /// Keeps the matches of rules with `nolog` too.
    pub fn set_trace(&mut self, on: bool) {
        self.state.trace = on;
    }

    /// Records every rule that runs from here on, with its time by `clock`. Recording costs time of its own.
    pub fn watch(&mut self, clock: Option<Arc<dyn Clock>>) {
        self.state.watch = Some(watch::Watch::new(clock));
    }

    /// Returns every rule that ran since [`Transaction::watch`], in order.
    pub fn ran(&self) -> &[Ran] {
        self.state.watch.as_ref().map_or(&[], watch::Watch::ran)
    }

    /// Returns the steps of the budget that are left.
    pub fn steps_left(&self) -> u64 {
        self.state.steps_left
    }

    /// Overrides the step budget: about one step per byte that an operator or a transformation reads.
    pub fn set_budget(&mut self, steps: u64) {
        self.state.steps_left = steps;
    }

    /// Turns the prefilter off: every rule is evaluated the plain way. The answers are the same.
    pub fn set_prefilter(&mut self, on: bool) {
        self.state.prefiltered = on;
    }

    /// A variable of the transaction (`TX`), in any letter case; nothing when it is not set.
    pub fn tx(&self, name: &str) -> Option<Vec<u8>> {
        let var = self.state.tx.find(&self.program.tx_names, name.as_bytes())?;
        let mut text = Vec::new();
        var.write(&mut text);
        Some(text)
    }

    /// Every set variable of `TX`, for the trace.
    pub fn tx_variables(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let written = self.state.tx.iter(&self.program.tx_names).map(|(name, var)| {
            let mut text = Vec::new();
            var.write(&mut text);
            (name.to_vec(), text)
        });
        written.collect()
    }

    /// Whether the step budget ran out: rules after that point were not evaluated.
    pub fn budget_exhausted(&self) -> bool {
        self.state.exhausted
    }

    /// Whether values were dropped because the request held more than a transaction keeps.
    pub fn overflowed(&self) -> bool {
        self.state.values.overflowed() || self.state.tx.overflowed()
    }

    fn phase(&mut self, phase: u8) -> Outcome {
        self.state.run_phase(&self.program, phase);
        if self.state.exhausted {
            self.refuse(403, b"the step budget of the request ran out");
        } else if self.state.values.overflowed() {
            self.refuse(403, b"the request holds more values than are inspected");
        }
        self.outcome()
    }

    fn taken(&mut self, taken: body::Taken, status: u16) -> Outcome {
        if taken == body::Taken::Refused {
            self.refuse(status, b"the body is longer than its limit");
        }
        self.outcome()
    }

    /// Ends the transaction because of a limit.
    fn refuse(&mut self, status: u16, why: &[u8]) {
        let intervention = Intervention {
            status,
            action: InterventionAction::Deny,
            rule_id: 0,
            phase: self.state.phase,
            message: why.to_vec(),
        };
        match self.state.mode {
            EngineMode::On => self.state.intervention.get_or_insert(intervention),
            EngineMode::DetectionOnly => self.state.detected.get_or_insert(intervention),
            EngineMode::Off => return,
        };
    }

    fn outcome(&self) -> Outcome {
        match self.state.intervention {
            Some(_) => Outcome::Interrupted,
            None => Outcome::Continue,
        }
    }
}
