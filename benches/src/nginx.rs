//! Debian's nginx: as the origin of every contender, and as the peer that proxies to it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{Process, free_address, wait_until_accepting};

/// An nginx with one worker, and where it listens.
#[derive(Debug)]
pub struct Nginx {
    /// Where it accepts plain connections.
    pub address: SocketAddr,
    /// The master process; its worker counts as its child.
    pub process: Process,
}

/// Whether nginx is installed.
pub fn is_installed() -> bool {
    Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Starts an origin that answers 200 with a short body, over plain HTTP/1.1.
///
/// # Errors
/// When nginx cannot be started in `dir`.
pub fn origin(dir: &Path) -> io::Result<Nginx> {
    origin_at(dir, "origin", free_address()?)
}

/// The same at an address, with a name of its own where there are several.
///
/// # Errors
/// When nginx cannot be started in `dir`.
pub fn origin_at(dir: &Path, name: &str, address: SocketAddr) -> io::Result<Nginx> {
    let server = format!(
        "server {{ listen {address}; location / {{ return 200 '{{\"status\":\"healthy\",\"service\":\"origin\"}}'; }} }}"
    );
    start(dir, name, address, &server)
}

/// Starts a reverse proxy in front of `origin`, plain and over TLS 1.3, with keep-alive on both sides; returns where it
/// listens with TLS besides.
///
/// # Errors
/// When nginx cannot be started in `dir`.
pub fn proxy(
    dir: &Path,
    origin: SocketAddr,
    cert: &Path,
    key: &Path,
) -> io::Result<(Nginx, SocketAddr)> {
    let (address, tls_address) = (free_address()?, free_address()?);
    let (cert, key) = (cert.display(), key.display());
    let server = format!(
        "upstream origin {{ server {origin}; keepalive 128; keepalive_requests 1000000; }}
         server {{ listen {address}; listen {tls_address} ssl http2; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
           keepalive_requests 1000000;
           location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }}"
    );
    Ok((start(dir, "proxy", address, &server)?, tls_address))
}

fn start(dir: &Path, name: &str, address: SocketAddr, server: &str) -> io::Result<Nginx> {
    let home = dir.join(format!("nginx-{name}"));
    fs::create_dir_all(&home)?;
    let conf = home.join("nginx.conf");
    let path = home.display();
    let text = format!(
        "daemon off; master_process on; worker_processes 1; pid {path}/pid; error_log {path}/error.log;
         events {{ worker_connections 4096; }}
         http {{ access_log off; keepalive_requests 1000000; default_type application/json;
           client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
           uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
           {server} }}"
    );
    fs::write(&conf, text)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&home).arg("-c").arg(&conf).stderr(Stdio::null());
    let process = Process::start(&mut command)?;
    wait_until_accepting(address)?;
    Ok(Nginx { address, process })
}
