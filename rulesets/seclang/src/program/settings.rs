//! What directives other than rules set.

/// Whether rules run, and whether they may interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EngineMode {
    /// No rule runs.
    Off,
    /// Rules run and record; nothing is interrupted.
    DetectionOnly,
    /// Rules run and may interrupt.
    On,
}

/// What happens to a body past its limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LimitAction {
    /// The transaction is interrupted with 413 (request) or 500 (response).
    Reject,
    /// What fits is inspected.
    ProcessPartial,
}

/// The settings of a program.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) engine: EngineMode,
    pub(crate) request_body: bool,
    pub(crate) response_body: bool,
    pub(crate) request_body_limit: usize,
    /// The same without the content of files.
    pub(crate) request_body_no_files_limit: usize,
    pub(crate) request_body_action: LimitAction,
    pub(crate) response_body_limit: usize,
    pub(crate) response_body_action: LimitAction,
    pub(crate) response_types: Vec<Vec<u8>>,
    pub(crate) arguments_max: usize,
    pub(crate) files_max: usize,
    pub(crate) json_depth_max: usize,
    pub(crate) budget: u64,
}

impl Settings {
    /// ModSecurity's defaults, but that both bodies are read and the engine is on: this engine runs
    /// where its caller decided to inspect.
    pub(crate) fn new() -> Self {
        let types: [&[u8]; 3] = [b"text/plain", b"text/html", b"text/xml"];
        Self {
            engine: EngineMode::On,
            request_body: true,
            response_body: true,
            request_body_limit: 128 * 1024 * 1024,
            request_body_no_files_limit: usize::MAX,
            request_body_action: LimitAction::Reject,
            response_body_limit: 512 * 1024,
            response_body_action: LimitAction::ProcessPartial,
            response_types: types.map(<[u8]>::to_vec).to_vec(),
            arguments_max: 1000,
            files_max: 100,
            json_depth_max: 512,
            budget: 200_000_000,
        }
    }
}
