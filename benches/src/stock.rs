//! Stock Pingora as a peer: its proxy before one server, with no rule, no log and no limit of ours. What it costs is the
//! floor that an edge on Pingora stands on.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

use crate::process::{Process, free_address, wait_until_accepting};

/// With this variable set the bench's own binary is the peer; it holds the addresses and the files, one to a word.
const AS_STOCK: &str = "PORTCULLIS_BENCH_AS_STOCK_PINGORA";

/// A running peer with one worker.
#[derive(Debug)]
pub struct Stock {
    /// Where it accepts plain connections.
    pub plain: SocketAddr,
    /// Where it accepts TLS.
    pub tls: SocketAddr,
    /// The process.
    pub process: Process,
}

/// Starts the peer before `origin`.
///
/// # Errors
/// When it does not start, or does not accept connections.
pub fn start(origin: SocketAddr, cert: &Path, key: &Path) -> io::Result<Stock> {
    let (plain, tls) = (free_address()?, free_address()?);
    let mut command = Command::new(std::env::current_exe()?);
    let words = format!("{plain} {tls} {origin} {} {}", cert.display(), key.display());
    command.env(AS_STOCK, words).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::start(&mut command)?;
    wait_until_accepting(tls)?;
    Ok(Stock { plain, tls, process })
}

/// Serves as the peer if this process was started for that: then it never comes back but with an error.
pub fn serve_if_asked() -> Option<ExitCode> {
    let words = std::env::var(AS_STOCK).ok()?;
    let words: Vec<&str> = words.split(' ').collect();
    let [plain, tls, origin, cert, key] = words.as_slice() else { return Some(ExitCode::FAILURE) };
    Some(serve([plain, tls], origin, [cert, key]).unwrap_or(ExitCode::FAILURE))
}

fn serve([plain, tls]: [&str; 2], origin: &str, [cert, key]: [&str; 2]) -> Option<ExitCode> {
    let conf =
        ServerConf { threads: 1, upstream_keepalive_pool_size: 256, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let proxy = Proxy { origin: origin.parse().ok()? };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(plain);
    let mut settings = TlsSettings::intermediate(cert, key).ok()?;
    settings.enable_h2();
    service.add_tls_with_settings(tls, None, settings);
    server.add_service(service);
    server.run_forever()
}

struct Proxy {
    origin: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }
}
