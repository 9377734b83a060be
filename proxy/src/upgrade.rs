//! A new program in the place of the running one, without a refused connection.
//!
//! The running process starts its successor with one end of a Unix stream as standard input and passes the listening
//! sockets over it. The successor loads, compiles and probes its configuration and says that it is ready; until then
//! nothing has changed. Then the old process lets go of what only one can hold (the files of bans and licenses) and stops
//! accepting, the successor opens them and serves, and the old one drains. Connections that come in between wait in the
//! sockets' backlog. Whatever goes wrong before the successor serves, the old process takes everything back.

mod error;
mod hand_over;
mod link;
mod message;
mod request;
mod take_over;

pub use error::UpgradeError;
pub use hand_over::{Handed, Shown, Successor};
pub use message::SocketName;
pub use request::{Invocation, UpgradeRequest};
pub use take_over::Inheritance;
