//! Whether the server goes on: its parts are asked, and each has to answer. Where nobody asks, it
//! costs nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::audit::sink::AuditLog;

/// How often it is looked whether the parts have answered.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// The parts of the server that have to answer.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Pulse {
    asked: watch::Sender<u64>,
    parts: Mutex<Vec<Arc<Part>>>,
}

#[derive(Debug)]
struct Part {
    name: String,
    accepts: bool,
    answered: AtomicU64,
    broken: AtomicBool,
}

/// A part's own end: it answers for as long as this is there, and is asked no more behind its end,
/// unless that was a panic.
#[derive(Debug)]
pub(in crate::daemon) struct Beat {
    pulse: Arc<Pulse>,
    part: Arc<Part>,
    asked: watch::Receiver<u64>,
}

impl Pulse {
    /// Takes a part in; `accepts` where connections arrive at it.
    pub(in crate::daemon) fn enter(self: &Arc<Self>, name: String, accepts: bool) -> Beat {
        let asked = self.asked.subscribe();
        let part =
            Arc::new(Part { name, accepts, answered: AtomicU64::new(*asked.borrow()), broken: AtomicBool::new(false) });
        self.lock().push(Arc::clone(&part));
        Beat { pulse: Arc::clone(self), part, asked }
    }

    /// How many parts accept connections.
    pub(in crate::daemon) fn accepting(&self) -> usize {
        self.lock().iter().filter(|part| part.accepts && !part.broken.load(Ordering::Acquire)).count()
    }

    /// Asks every part and the thread that writes the audit log. Blocks for so long at most.
    ///
    /// # Errors
    /// Who did not answer.
    pub(super) fn check(&self, audit: &AuditLog, patience: Duration) -> Result<(), String> {
        let began = Instant::now();
        self.asked.send_modify(|count| *count = count.wrapping_add(1));
        let asked = *self.asked.borrow();
        match audit.ping().recv_timeout(patience) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return Err("the thread that writes the audit log".to_owned()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err("the thread that writes the audit log is gone".to_owned());
            }
        }
        loop {
            let late = self.lock().iter().find(|part| part.answered.load(Ordering::Acquire) != asked).map(Arc::clone);
            let Some(late) = late else { return Ok(()) };
            if began.elapsed() >= patience {
                return Err(late.name.clone());
            }
            sleep(LOOK_PERIOD);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beat {
    /// Answers the next question. Whoever stops waiting has missed nothing.
    pub(in crate::daemon) async fn answer(&mut self) {
        // The sender is among what this holds, so it is never closed.
        let _ = self.asked.changed().await;
        let asked = *self.asked.borrow_and_update();
        self.part.answered.store(asked, Ordering::Release);
    }

    /// Answers for as long as this is polled.
    pub(in crate::daemon) async fn keep_answering(mut self) {
        loop {
            self.answer().await;
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It did not end, it broke: it stays, as one that answers no more.
            self.part.broken.store(true, Ordering::Release);
            return;
        }
        self.pulse.lock().retain(|part| !Arc::ptr_eq(part, &self.part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::trial;
    use crate::settings::AuditSync;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_breaks_answers_no_more_and_accepts_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (audit, writer) = trial::start(directory.path(), AuditSync::Group);
        let pulse = Arc::new(Pulse::default());
        let beat = pulse.enter("the socket".to_owned(), true);
        let broke = tokio::spawn(async move {
            let _beat = beat;
            panic!("on purpose");
        });
        assert!(broke.await.unwrap_err().is_panic());
        assert_eq!(pulse.check(&audit, SHORT), Err("the socket".to_owned()));
        assert_eq!(pulse.accepting(), 0);
        writer.finish().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_part_that_does_not_answer_is_named_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (audit, writer) = trial::start(directory.path(), AuditSync::Group);
        let pulse = Arc::new(Pulse::default());
        let good = tokio::spawn(pulse.enter("good".to_owned(), true).keep_answering());
        assert_eq!(pulse.check(&audit, Duration::from_secs(10)), Ok(()));
        let stuck = pulse.enter("stuck".to_owned(), true);
        assert_eq!(pulse.check(&audit, SHORT), Err("stuck".to_owned()));
        assert_eq!(pulse.accepting(), 2);
        drop(stuck);
        assert_eq!(pulse.check(&audit, Duration::from_secs(10)), Ok(()));
        writer.finish().unwrap();
        assert!(pulse.check(&audit, SHORT).unwrap_err().contains("gone"));
        good.abort();
    }
}
