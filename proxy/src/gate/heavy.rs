//! Work on large bodies, off the worker threads: what inflates or inspects one may take far longer than other requests
//! of the same thread can wait.

use std::thread::available_parallelism;

use prometheus::IntCounter;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// Bodies above this leave the worker. The CRS costs 70 to 130 ns for each byte of a form (`benches/record`), so at this
/// size it is a third to a half of a millisecond; handing the worker's other tasks on costs some microseconds.
const HEAVY_BYTES: usize = 4 * 1024;

/// Lets only so many large bodies be worked on as there are processors; the others wait without a thread.
#[derive(Debug)]
pub(super) struct Heavy {
    permits: Semaphore,
    counter: IntCounter,
}

impl Heavy {
    /// `counter` counts what left a worker.
    pub(super) fn new(counter: IntCounter) -> Self {
        let processors = available_parallelism().map_or(1, std::num::NonZero::get);
        Self { permits: Semaphore::new(processors), counter }
    }

    /// Does `work` on a body of so many bytes.
    pub(super) async fn run<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let is_heavy =
            bytes > HEAVY_BYTES && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        if !is_heavy {
            return work();
        }
        // The semaphore is never closed; without a permit the work is done all the same.
        let _permit = self.permits.acquire().await;
        self.counter.inc();
        tokio::task::block_in_place(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_bodies_leave_a_worker_that_has_others_beside_it() {
        let counter = || IntCounter::new("heavy", "heavy").unwrap();
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let heavy = Heavy::new(counter());
        for (bytes, left) in [(0, 0), (HEAVY_BYTES, 0), (HEAVY_BYTES + 1, 1)] {
            assert_eq!(many.block_on(heavy.run(bytes, || bytes)), bytes);
            assert_eq!(heavy.counter.get(), left);
        }
        let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(one.block_on(heavy.run(1 << 20, || 7)), 7);
        assert_eq!(heavy.counter.get(), 1);
    }
}
