//! Handshakes take turns.
//!
//! A TLS handshake is a millisecond of computing, a request a twentieth of one. Where handshakes come as fast as a client can
//! send them, each step of a request would wait behind all of them that are ready. So no more of them compute at one time
//! than there are workers to spare, and between two of them whatever else is ready runs. Handshakes lose no throughput: a
//! worker without anything else to do takes the next one.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::Semaphore;

/// The turns of one edge's handshakes.
#[derive(Debug)]
pub(super) struct Handshakes(Semaphore);

impl Handshakes {
    /// Leaves one of the workers to requests, where there are several.
    pub(super) fn among(workers: usize) -> Self {
        Self(Semaphore::new(workers.saturating_sub(1).max(1)))
    }

    /// Awaits a handshake whose ClientHello is there: its first step, which answers it, is the costly one and waits for a
    /// turn. The rest waits for the client and needs none.
    pub(super) async fn take<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        let turn = self.0.acquire().await;
        let first = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
        tokio::task::yield_now().await;
        drop(turn);
        match first {
            Poll::Ready(output) => output,
            Poll::Pending => handshake.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// Something that says when it runs, and how often it is polled before it is over.
    async fn steps(name: &'static str, count: usize, said: &RefCell<Vec<&'static str>>) {
        for _ in 0..count {
            said.borrow_mut().push(name);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_else_is_ready_runs_between_two_handshakes() {
        let (turns, said) = (Rc::new(Handshakes::among(1)), Rc::new(RefCell::new(Vec::new())));
        let tasks = tokio::task::LocalSet::new();
        for _ in 0..4 {
            let (turns, said) = (Rc::clone(&turns), Rc::clone(&said));
            tasks.spawn_local(async move { turns.take(steps("handshake", 1, &said)).await });
        }
        let of_request = Rc::clone(&said);
        tasks.spawn_local(async move { steps("request", 4, &of_request).await });
        tasks.await;
        let said = said.borrow();
        assert_eq!(said.iter().filter(|name| **name == "handshake").count(), 4);
        let two = said.windows(2).take(6).filter(|pair| *pair == ["handshake", "handshake"]);
        assert_eq!(two.count(), 0, "{said:?}");
    }

    #[tokio::test]
    async fn who_waits_for_its_client_keeps_no_turn() {
        let turns = Handshakes::among(1);
        let (tell, told) = tokio::sync::oneshot::channel();
        let slow = turns.take(async { told.await.unwrap() });
        let quick = async {
            turns.take(async {}).await;
            tell.send(7).unwrap();
        };
        let (answer, ()) = tokio::join!(slow, quick);
        assert_eq!(answer, 7);
    }
}
