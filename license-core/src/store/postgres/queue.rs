//! Who waits for a connection: in the order in which they came, and for as long as connections come back.
//!
//! Requests for one license wait for its row one after the other, each with a connection: many at once are a queue, not a
//! database that is away, and they are answered one by one. One that does not get its turn in time is told so.

use crate::store::StoreError;
use sqlx::{PgConnection, Postgres, Transaction};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a request waits for its turn: with the longest wait for a lock it stays below the edge's 30 s.
pub(crate) const TURN_WAITS: Duration = Duration::from_secs(15);
/// How long it waits where the last one did not reach the database: who would connect first, waits so long as well.
const WAITS_WHILE_AWAY: Duration = Duration::from_secs(1);

/// The queue before a pool.
#[derive(Debug)]
pub(super) struct Queue {
    places: Arc<Semaphore>,
    is_reached: AtomicBool,
    waits: Duration,
}

/// A turn; it is over when it is dropped.
pub(super) type Turn = OwnedSemaphorePermit;

impl Queue {
    /// Lets as many at a time to the pool as it has connections, but for one: what the service asks for itself (that it
    /// is alive, which leases ran out) waits in no queue.
    pub(super) fn before(connections: u32, waits: Duration) -> Self {
        let places = usize::try_from(connections.saturating_sub(1)).unwrap_or(usize::MAX).max(1);
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            is_reached: AtomicBool::new(true),
            waits,
        }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let reached = self.is_reached.load(Ordering::Relaxed);
        let patience = if reached { self.waits } else { self.waits.min(WAITS_WHILE_AWAY) };
        match timeout(patience, self.places.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_closed)) => Err(StoreError::Unavailable),
            Err(_) => {
                tracing::warn!("a request did not get its turn at the database in time");
                Err(StoreError::Unavailable)
            }
        }
    }

    /// Remembers whether the database was reached, by whoever had a turn.
    pub(super) fn reached(&self, is_reached: bool) {
        self.is_reached.store(is_reached, Ordering::Relaxed);
    }
}

/// A transaction, and the turn that it has until it is over.
#[derive(Debug)]
pub(in crate::store) struct InTurn {
    transaction: Transaction<'static, Postgres>,
    _turn: Turn,
}

impl InTurn {
    pub(super) fn new(transaction: Transaction<'static, Postgres>, turn: Turn) -> Self {
        Self { transaction, _turn: turn }
    }

    /// Makes it so.
    pub(in crate::store) async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }

    /// Makes it nothing.
    pub(in crate::store) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }
}

impl Deref for InTurn {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for InTurn {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn turns_are_taken_in_order_and_waited_for_so_long_and_no_longer() {
        let queue = Arc::new(Queue::before(2, Duration::from_secs(60)));
        let first = queue.turn().await.unwrap();
        let (told, mut order) = mpsc::unbounded_channel();
        let mut waiting = vec![];
        for number in 0..5 {
            let (queue, told) = (queue.clone(), told.clone());
            waiting.push(tokio::spawn(async move {
                let _turn = queue.turn().await.unwrap();
                told.send(number).unwrap();
            }));
            tokio::task::yield_now().await;
        }
        assert!(order.try_recv().is_err(), "the place is taken");
        drop(first);
        for number in 0..5 {
            assert_eq!(order.recv().await, Some(number));
        }
        let hasty = Queue::before(2, Duration::from_millis(10));
        let held = hasty.turn().await.unwrap();
        assert!(hasty.turn().await.is_err(), "nobody gave the place back");
        drop(held);
        assert!(hasty.turn().await.is_ok());
    }

    #[tokio::test]
    async fn while_the_database_is_away_nobody_waits_long() {
        let queue = Queue::before(2, Duration::from_secs(600));
        let held = queue.turn().await.unwrap();
        queue.reached(false);
        // A test that waited ten minutes would tell.
        assert!(queue.turn().await.is_err());
        queue.reached(true);
        drop(held);
        assert!(queue.turn().await.is_ok());
    }

    #[test]
    fn one_connection_is_left_for_the_service_itself() {
        for (connections, places) in [(1, 1), (2, 1), (3, 2), (16, 15)] {
            let queue = Queue::before(connections, Duration::ZERO);
            assert_eq!(queue.places.available_permits(), places, "{connections}");
        }
    }
}
