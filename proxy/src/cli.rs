//! The command line. Each command prints for people, or with `--json` for programs; errors go to standard error.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 not understood.

mod allow;
mod assertion;
mod backend;
mod ban;
mod capture;
mod check;
mod dev;
mod eval;
mod import;
mod incidents;
mod key;
mod license;
mod lockdown;
mod log;
mod policy;
mod replay;
mod requests;
mod rules;
mod run;
mod socket;
mod status;
mod table;
mod test;
mod tls;
mod token;
mod tune;
mod why;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

pub(crate) use ban::duration;

use clap::{Parser, Subcommand};
use portcullis_config::Style;

/// Self-hosted ingress data plane: reverse proxy and web application firewall in front of a license service.
#[derive(Parser, Debug)]
#[command(name = "portcullis", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve. Without `--config`: the embedded default, https://127.0.0.1:8443 in front of an embedded license service.
    Run(run::Run),
    /// Print every error and lint of configuration or policy files, with carets. Exit 1 on errors.
    Check(check::Check),
    /// Read the configuration again and publish it, if it is good. Exit 1 if it is refused.
    Reload(status::Reload),
    /// Show what the running process serves.
    Status(status::Status),
    /// Put a new program in the place of the running one, without a refused connection. Exit 1 if it does not serve.
    Upgrade(status::Upgrade),
    /// List policies, compare two, or go back to the generation before.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// List, place and lift bans.
    #[command(subcommand)]
    Ban(ban::Ban),
    /// Say who is never banned.
    #[command(subcommand)]
    Allow(allow::Allow),
    /// Show the servers of backends, take one out and back.
    #[command(subcommand)]
    Backend(backend::Backend),
    /// Revoke tokens, show what is revoked, and take it back.
    #[command(subcommand)]
    Token(token::Token),
    /// Issue API keys, show, rotate and revoke them.
    #[command(subcommand)]
    Key(key::Key),
    /// Rotate the key that the edge signs its assertions with, and show it.
    #[command(subcommand)]
    Assertion(assertion::Assertion),
    /// Close a route for a while, and open it.
    #[command(subcommand)]
    Lockdown(lockdown::Lockdown),
    /// Show incidents, and say how they stand.
    #[command(subcommand)]
    Incidents(incidents::Incidents),
    /// Show what a user, a tenant or an address did lately: requests, objects, foreign tenants, bytes out, events.
    Log(log::Log),
    /// Say why a request was refused, and the narrowest change that would let it pass.
    Why(why::Why),
    /// Judge one raw HTTP request offline: the verdict and how it came about.
    Eval(eval::Eval),
    /// Judge the requests of test files and compare with the verdicts that they must get. Exit 1 on a failed case.
    Test(test::Test),
    /// Ask a configuration, or two, about the requests of a log: what would change.
    Replay(replay::Replay),
    /// Make the key that captured requests are encrypted to.
    #[command(subcommand)]
    Capture(capture::Capture),
    /// Rank the exclusions that would clear a log's false positives, and say what they would let through.
    Tune(tune::Tune),
    /// Take over policies and the resources around them from elsewhere.
    #[command(subcommand)]
    Import(import::Import),
    /// Write a policy for elsewhere.
    #[command(subcommand)]
    Export(import::Export),
    /// List, show and compare rule sets, and run a regression tree of the OWASP CRS.
    #[command(subcommand)]
    Rules(rules::Rules),
    /// Make the keys of session tickets, for nodes that share them.
    #[command(subcommand)]
    Tls(tls::Tls),
    /// Operate the license service: tenants, licenses, sessions, keys, webhooks, the audit trail.
    License(license::License),
    /// Tokens and certificates for development.
    #[command(subcommand)]
    Dev(dev::Dev),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let done = match command {
        Command::Run(run) => run::run(run),
        Command::Check(check) => check::run(&check),
        Command::Reload(reload) => status::reload(&reload),
        Command::Status(status) => status::show(&status),
        Command::Upgrade(upgrade) => status::upgrade(&upgrade),
        Command::Policy(policy) => policy::run(policy),
        Command::Ban(ban) => ban::run(ban),
        Command::Allow(allow) => allow::run(allow),
        Command::Backend(backend) => backend::run(backend),
        Command::Lockdown(lockdown) => lockdown::run(lockdown),
        Command::Incidents(incidents) => incidents::run(incidents),
        Command::Log(log) => log::run(&log),
        Command::Token(token) => token::run(token),
        Command::Key(key) => key::run(key),
        Command::Assertion(assertion) => assertion::run(assertion),
        Command::Eval(eval) => eval::run(&eval),
        Command::Why(why) => why::run(&why),
        Command::Test(test) => test::run(&test),
        Command::Replay(replay) => replay::run(&replay),
        Command::Capture(capture) => capture::run(&capture),
        Command::Tune(tune) => tune::run(&tune),
        Command::Import(import) => import::run(&import),
        Command::Export(export) => import::export(&export),
        Command::Rules(rules) => rules::run(&rules),
        Command::Tls(tls) => tls::run(&tls),
        Command::License(license) => license::run(license),
        Command::Dev(dev) => dev::run(dev),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Why a command did not do what it says.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// What is wrong and what to do, in lines that are printed as they are.
    #[error("{0}")]
    Said(String),
    /// Standard output is closed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Failed {
    /// An error with its causes, and what to do about it.
    fn because(error: &dyn std::error::Error, help: Option<String>) -> Self {
        let mut text = format!("error: {error}");
        let mut cause = error.source();
        while let Some(source) = cause {
            let source_text = source.to_string();
            if !text.contains(&source_text) {
                text.push_str(": ");
                text.push_str(&source_text);
            }
            cause = source.source();
        }
        if let Some(help) = help {
            text.push_str("\n  help: ");
            text.push_str(&help);
        }
        Self::Said(text)
    }
}

type Done = Result<ExitCode, Failed>;

/// Writes to standard output.
fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes to standard error; if that is closed there is nobody to tell.
fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// How problems are drawn on standard error.
fn style() -> Style {
    if io::stderr().is_terminal() { Style::Colour } else { Style::Plain }
}

/// Writes a value as indented JSON.
fn say_json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    say(&text)
}

/// The directory of the embedded default, where no other is named.
const DATA_DIR: &str = "data";
