//! The bypass of limits for load tests.

use ipnet::IpNet;

use crate::secret::SecretRef;

/// Who may load-test past the limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadTest {
    /// The keys that tokens are signed with, and the hashes of static secrets.
    pub keys: SecretRef,
    /// Where load generators stand; never empty, never everything.
    pub from: Vec<IpNet>,
}
