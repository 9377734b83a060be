//! `dev token`, `dev cert` and what load tests need: `dev bypass` and `dev bypass-key`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use portcullis_config::Config;

use super::{DATA_DIR, Done, Failed, ban, say};
use crate::bypass::{Secrecy, Wish, add_key, mint, signing_key};
use crate::clock::{Clock, System};
use crate::dev::{Demo, Issuer, TokenWish, make_certificate, provider};
use crate::origin::Origin;

#[derive(Subcommand, Debug)]
pub(super) enum Dev {
    /// Print a token of the development issuer.
    Token(Token),
    /// Make a certificate that vouches for itself for 397 days, and its key.
    Cert(Cert),
    /// Print a token that lifts the limits of a staging edge for a load test, as a value of `X-Load-Test-Bypass`.
    Bypass(Bypass),
    /// Put a new key of such tokens at the head of the file of `load_test.keys`; make the file where there is none.
    BypassKey(BypassKey),
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

#[derive(Args, Debug)]
pub(super) struct Bypass {
    /// The configuration of the staging edge.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How long it lifts limits: `30m`, `2h`; at most `24h`.
    #[arg(long = "for", value_name = "TIME", value_parser = ban::duration)]
    span: Duration,
    /// Where the load generators stand; may be given more than once.
    #[arg(long, value_name = "CIDR", required = true, value_delimiter = ',')]
    from: Vec<IpNet>,
    /// The routes, as `HOST/PATH` of the configuration; may be given more than once.
    #[arg(long, value_name = "HOST/PATH", required = true, value_delimiter = ',')]
    routes: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct BypassKey {
    /// The file, made with mode 0600. A running edge takes it as it is read.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A static secret in place of a key: it is printed, and the file gets its hash.
    #[arg(long = "static")]
    is_static: bool,
    /// How many of those before stay valid; 0 retires them all at once.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=7))]
    keep: u8,
}

pub(super) fn run(dev: Dev) -> Done {
    match dev {
        Dev::Token(token) => print_token(token),
        Dev::Cert(cert) => make_cert(&cert),
        Dev::Bypass(bypass) => print_bypass(bypass),
        Dev::BypassKey(key) => add_bypass_key(&key),
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

fn print_bypass(bypass: Bypass) -> Done {
    let loaded = Origin::File(bypass.config).load();
    let loaded = loaded.map_err(|report| Failed::Said(report.to_string()))?;
    let Some(load_test) = &loaded.config.load_test else {
        let said = "error: the configuration has no `load_test`\n  help: limits are lifted only where the file says \
                    `environment: staging` and names the keys (docs/load-testing.md)";
        return Err(Failed::Said(said.to_owned()));
    };
    check_routes(&loaded.config, &bypass.routes)?;
    let failed = |error: &dyn std::error::Error| Failed::because(error, None);
    let key = signing_key(&load_test.keys).map_err(|error| failed(&error))?;
    let wish = Wish { lifetime: bypass.span, from: bypass.from, routes: bypass.routes };
    let token = mint(&wish, &key, System::new().now()).map_err(|error| failed(&error))?;
    say(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses routes that the configuration does not have: a token for them would lift nothing, and nobody would know why.
fn check_routes(config: &Config, wanted: &[String]) -> Result<(), Failed> {
    let known: Vec<String> = config
        .hosts
        .iter()
        .flat_map(|host| host.routes.iter().map(|route| format!("{}{}", host.name, route.path)))
        .collect();
    match wanted.iter().find(|route| !known.contains(route)) {
        Some(unknown) => Err(Failed::Said(format!(
            "error: the configuration has no route `{unknown}`\n  help: its routes are {}",
            known.join(", ")
        ))),
        None => Ok(()),
    }
}

fn add_bypass_key(key: &BypassKey) -> Done {
    let kind = if key.is_static { Secrecy::Static } else { Secrecy::Key };
    let added = add_key(&key.file, kind, usize::from(key.keep));
    match added.map_err(|error| Failed::because(&error, None))? {
        Some(secret) => say(&format!("{}\n", *secret))?,
        None => say(&format!("{}\n", key.file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}
