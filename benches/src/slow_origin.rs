//! An origin that takes a fixed time for each request, as one does that waits for its database: what it can do is bounded
//! by how many requests it is given at once, not by a processor.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\": \"ok\"}";
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Starts it on a thread of its own, for as long as the process runs.
///
/// # Errors
/// When it cannot listen.
pub fn start(takes: Duration) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || runtime.block_on(serve(listener, takes)));
    Ok(address)
}

async fn serve(listener: std::net::TcpListener, takes: Duration) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (tcp, _) = listener.accept().await?;
        tokio::spawn(answer(tcp, takes));
    }
}

/// Answers requests without bodies until the connection ends.
async fn answer(mut tcp: TcpStream, takes: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut head = Vec::with_capacity(1024);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > HEAD_BYTES_MAX || tcp.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        tokio::time::sleep(takes).await;
        tcp.write_all(ANSWER).await?;
    }
}
