//! Requests that wait for the database at the same moment go to it together: one statement and one commit for all of them.
//!
//! Nobody is waited for: a request whose carrier is idle goes at once. While the carrier is at the database the requests
//! that come gather, and it takes them along when it is back. What concerns one row goes by one carrier, so that a service
//! never waits for itself; a row that somebody else holds keeps its company for [`LOCK_TIMEOUT`] at most: then each asks by
//! itself.

use super::is_stale;
use crate::store::{StoreError, unavailable};
use async_trait::async_trait;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

/// How many go to the database at a time, each with its company.
pub(super) const CARRIERS: usize = 4;
/// The longest wait for a row.
pub(super) const LOCK_TIMEOUT: &str = "1s";
/// The most requests of one statement, so that the first of them does not wait long.
const COMPANY_MAX: usize = 32;
/// The most requests that wait for one carrier; callers beyond that wait for a place.
const WAITING_MAX: usize = 1024;

/// Something that is asked for many at a time.
#[async_trait]
pub(super) trait Question: Sized + Send + Sync + 'static {
    /// What each gets.
    type Answer: Send + 'static;

    /// The row that it locks, by tenant and name: all are locked in this order, so that no two companies wait for each
    /// other. The name ends at random.
    fn row(&self) -> (&str, &[u8]);

    /// Asks for all of them; the answers come with the places of their questions, and where none comes something stands
    /// against it.
    async fn ask(
        company: &[Self],
        pool: &PgPool,
    ) -> Result<Vec<(usize, Self::Answer)>, sqlx::Error>;
}

type Answered<Q> = Result<Option<<Q as Question>::Answer>, StoreError>;
type Waiting<Q> = (Q, oneshot::Sender<Answered<Q>>);

/// The way to the database for one kind of question. Its tasks end when it is dropped.
#[derive(Debug)]
pub(super) struct Together<Q: Question>([mpsc::Sender<Waiting<Q>>; CARRIERS]);

impl<Q: Question> Together<Q> {
    /// Starts the carriers. Must be called on a tokio runtime.
    pub(super) fn start(pool: &PgPool) -> Self {
        Self(std::array::from_fn(|_| {
            let (sender, waiting) = mpsc::channel(WAITING_MAX);
            tokio::spawn(carry(waiting, pool.clone()));
            sender
        }))
    }

    /// Asks; `None` says that it has to be looked at step by step.
    pub(super) async fn ask(&self, question: Q) -> Answered<Q> {
        let (answer, answered) = oneshot::channel();
        let carrier = self.0.get(usize::from(*question.row().1.last().unwrap_or(&0)) % CARRIERS);
        let carrier = carrier.ok_or(StoreError::Unavailable)?;
        carrier.send((question, answer)).await.map_err(|_| StoreError::Unavailable)?;
        answered.await.map_err(|_| StoreError::Unavailable)?
    }
}

async fn carry<Q: Question>(mut waiting: mpsc::Receiver<Waiting<Q>>, pool: PgPool) {
    loop {
        let mut company = Vec::with_capacity(COMPANY_MAX);
        if waiting.recv_many(&mut company, COMPANY_MAX).await == 0 {
            return;
        }
        company.sort_by(|(one, _), (other, _)| one.row().cmp(&other.row()));
        let (questions, callers): (Vec<Q>, Vec<_>) = company.into_iter().unzip();
        match Q::ask(&questions, &pool).await {
            Ok(answers) => tell::<Q>(callers, answers),
            // One of them may be the cause: each is asked by itself, and hears of its own.
            Err(error) if error.as_database_error().is_some() || is_stale(&error) => {
                tell::<Q>(callers, vec![]);
            }
            // The database is away, for those as well who wait behind these.
            Err(error) => {
                let why = unavailable(error);
                let behind =
                    std::iter::from_fn(|| waiting.try_recv().ok()).map(|(_, caller)| caller);
                callers.into_iter().chain(behind).for_each(|caller| drop(caller.send(Err(why))));
            }
        }
    }
}

/// Gives each its answer, if there is one. A caller that went away does not want to know.
fn tell<Q: Question>(callers: Vec<oneshot::Sender<Answered<Q>>>, answers: Vec<(usize, Q::Answer)>) {
    let mut each: Vec<Option<Q::Answer>> = callers.iter().map(|_| None).collect();
    for (place, answer) in answers {
        if let Some(one) = each.get_mut(place) {
            *one = Some(answer);
        }
    }
    for (caller, answer) in callers.into_iter().zip(each) {
        drop(caller.send(Ok(answer)));
    }
}
