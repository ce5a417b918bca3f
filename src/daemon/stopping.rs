//! How the server is told to stop: first gently, then at once.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use super::server::Shared;

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// It does.
    No,
    /// No new sessions; running transfers may finish.
    Draining,
    /// Whatever still runs ends now.
    Now,
}

/// The signals that concern the server.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches the signals: those that end the server, and the one that has it read the policy again.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn catch() -> std::io::Result<(Self, Signal)> {
        let ends = Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        Ok((ends, signal(SignalKind::hangup())?))
    }

    /// Returns when the server is asked to stop.
    async fn stop_asked(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits until the server is asked to stop, lets transfers finish for as long as the settings say,
    /// then ends what still runs. A second request ends it at once.
    pub(super) async fn conduct(mut self, stop: watch::Sender<Stop>, shared: Arc<Shared>) {
        let asked = tokio::select! {
            asked = self.stop_asked() => asked,
            () = shared.drained() => "drain",
        };
        let drain = shared.config().limits.drain_time;
        drop(shared);
        info!(signal = asked, seconds = drain.as_secs(), "stopping: no new sessions, running transfers may finish");
        stop.send_replace(Stop::Draining);
        tokio::select! {
            () = tokio::time::sleep(drain) => info!("the time for finishing is over"),
            again = self.stop_asked() => info!(signal = again, "asked again: stopping at once"),
            () = stop.closed() => {}
        }
        stop.send_replace(Stop::Now);
        stop.closed().await;
    }
}
