//! Benches, each with its peer in the same run.
//!
//! A bench states its question and its input, prints a table, and with `--record` writes it to `benches/record/`.
//! Without `--bench` (as under `cargo test`) every bench makes one short pass, so that CI knows that it runs.

#[cfg(feature = "edge")]
pub mod cold;
#[cfg(feature = "edge")]
pub mod edge;
#[cfg(feature = "edge")]
pub mod h2load;
#[cfg(feature = "edge")]
pub mod held;
pub mod inspect;
pub mod machine;
pub mod mode;
pub mod nginx;
pub mod process;
pub mod record;
pub mod request_file;
pub mod rule_files;
#[cfg(feature = "edge")]
pub mod slow_origin;
#[cfg(feature = "edge")]
pub mod steady;
#[cfg(feature = "edge")]
pub mod stock;
#[cfg(feature = "edge")]
pub mod tls;
pub mod wrk;
