//! The one timer of a connection, for whichever deadline is next.
//!
//! Deadlines move with every request, and a timer that is set anew takes the runtime's timer lock. So the timer is left
//! where it is while the deadline only moves later; when it goes off too early it is set to what holds by then. A
//! keep-alive connection sets it once per idle time, not once per request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set only when it has to be.
#[derive(Debug)]
pub(super) struct Wait(Pin<Box<Sleep>>);

impl Wait {
    /// Makes a timer that is set to `deadline`.
    pub(super) fn until(deadline: Instant) -> Self {
        Self(Box::pin(sleep_until(deadline)))
    }

    /// Is ready once `deadline` has passed.
    pub(super) fn poll_passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.0.deadline() {
            self.0.as_mut().reset(deadline);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            if self.0.deadline() >= deadline {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn passed_after(wait: &mut Wait, from_now: Duration) -> Duration {
        let begun = Instant::now();
        let deadline = begun + from_now;
        poll_fn(|cx| wait.poll_passed(deadline, cx)).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_met_whether_it_moved_later_or_earlier() {
        let mut wait = Wait::until(Instant::now() + Duration::from_secs(5));
        for seconds in [5, 60, 10, 1] {
            let wanted = Duration::from_secs(seconds);
            assert_eq!(passed_after(&mut wait, wanted).await, wanted);
        }
    }
}
