//! `dev token` and `dev cert`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{DATA_DIR, Done, Failed, ban, say};
use crate::clock::{Clock, System};
use crate::dev::{Demo, Issuer, TokenWish, make_certificate, provider};
use crate::origin::Origin;

#[derive(Subcommand, Debug)]
pub(super) enum Dev {
    /// Print a token of the development issuer.
    Token(Token),
    /// Make a certificate that vouches for itself for 397 days, and its key.
    Cert(Cert),
}

#[derive(Args, Debug)]
pub(super) struct Token {
    /// The tenant.
    #[arg(long, default_value = Demo::TENANT)]
    tenant: String,
    /// No tenant at all: what the edge answers with 403 `missing_tenant`.
    #[arg(long, conflicts_with = "tenant")]
    no_tenant: bool,
    /// The subject.
    #[arg(long, default_value = "alice")]
    user: String,
    /// A role; may be given more than once.
    #[arg(long = "role")]
    roles: Vec<String>,
    /// How long it is valid: `90s`, `10m`, `1h`.
    #[arg(long, default_value = "1h", value_parser = ban::duration)]
    ttl: Duration,
    /// The data directory of the embedded default.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data: PathBuf,
    /// A configuration whose first provider has its key set beside an issuer's key, in place of the embedded default.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Cert {
    /// A DNS name or address that it is for; may be given more than once.
    #[arg(long = "name", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])]
    names: Vec<String>,
    /// Where to write `tls.crt` and `tls.key`.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(dev: Dev) -> Done {
    match dev {
        Dev::Token(token) => print_token(token),
        Dev::Cert(cert) => make_cert(&cert),
    }
}

fn print_token(token: Token) -> Done {
    let origin = match token.config {
        Some(file) => Origin::File(file),
        None => Origin::Embedded { data_dir: token.data },
    };
    let loaded = origin.load().map_err(|report| Failed::Said(report.to_string()))?;
    let failed = |error: crate::dev::DevError| Failed::because(&error, None);
    let provider = provider(&loaded.config).map_err(failed)?;
    let wish = TokenWish {
        user: token.user,
        tenant: (!token.no_tenant).then_some(token.tenant),
        roles: token.roles,
        ttl: token.ttl,
    };
    let issuer = Issuer::open(provider).map_err(failed)?;
    issuer.publish().map_err(failed)?;
    let text = issuer.token(provider, &wish, System::new().now()).map_err(failed)?;
    say(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn make_cert(cert: &Cert) -> Done {
    let (chain, key) = (cert.dir.join("tls.crt"), cert.dir.join("tls.key"));
    make_certificate(&chain, &key, &cert.names, System::new().now())
        .map_err(|error| Failed::because(&error, None))?;
    say(&format!("{}\n{}\n", chain.display(), key.display()))?;
    Ok(ExitCode::SUCCESS)
}
