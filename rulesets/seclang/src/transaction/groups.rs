//! Links that read the same values through the same chain share one question to the prefilter.

use super::state::State;
use crate::prefilter::Candidates;
use crate::program::Program;

impl State {
    /// Which conditioned links any value of a group may satisfy.
    pub(crate) fn group_candidates(&mut self, _program: &Program, _group: u16) -> Candidates {
        Candidates::ALL
    }
}
