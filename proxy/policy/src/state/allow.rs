//! Who is never banned, whoever asks: health checks, offices, the operator's own nodes.

use std::sync::Arc;

use super::BanKey;

/// The hook through which the shell's lists decide. It is asked when a ban is placed and when the list changes, not for
/// every request.
#[derive(Clone)]
pub struct AllowList {
    spares: Arc<dyn Fn(&BanKey) -> bool + Send + Sync>,
}

impl AllowList {
    /// Makes a list of a question: does it name the key?
    #[must_use]
    pub fn new(spares: impl Fn(&BanKey) -> bool + Send + Sync + 'static) -> Self {
        Self { spares: Arc::new(spares) }
    }

    /// Says whether the key may not be banned.
    #[must_use]
    pub fn spares(&self, key: &BanKey) -> bool {
        (self.spares)(key)
    }
}

/// The list that names nobody.
impl Default for AllowList {
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl std::fmt::Debug for AllowList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AllowList")
    }
}
