//! Idle connections to origins: one under their cap, at it, and one over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::{Edge, listening, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

const MOST: usize = 128;
/// Beyond the cap Pingora's pool makes room for more than one: a sixteenth of them besides.
const LEFT: usize = MOST - 16;

/// Starts an origin that answers when so many requests are there, and counts its open connections.
fn start(requests: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = listening();
    let address = listener.local_addr().expect("a bound socket has an address");
    let (open, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(requests)));
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (count, all) = (Arc::clone(&count), Arc::clone(&all));
            tokio::spawn(async move {
                count.fetch_add(1, Ordering::SeqCst);
                drop(serve(stream, &all).await);
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, open)
}

/// Answers one request, and waits for the end.
async fn serve(mut stream: TcpStream, all: &Barrier) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut bytes).await?;
    }
    all.wait().await;
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    stream.read_u8().await.map(drop)
}

/// An edge that has asked its origin so many times at once, and the origin's open connections.
async fn after(requests: usize) -> (Edge, Arc<AtomicUsize>) {
    let (address, open) = start(requests);
    let edge = Edge::before(address).start().await;
    let asking: Vec<_> = (0..requests).map(|_| edge.client()).collect();
    let mut clients = Vec::new();
    for client in asking {
        let mut client = client.await;
        client.send(super::GET).await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.answer().await.status, 204);
    }
    (edge, open)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_to_origins_are_capped() {
    let (_under, under) = after(MOST - 1).await;
    let (_at, at) = after(MOST).await;
    let (_over, over) = after(MOST + 1).await;
    within("the close", async {
        while over.load(Ordering::SeqCst) != LEFT {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (what, open, expected) in
        [("one under", under, MOST - 1), ("at it", at, MOST), ("one over", over, LEFT)]
    {
        assert_eq!(open.load(Ordering::SeqCst), expected, "{what}");
    }
}
