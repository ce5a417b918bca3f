//! `/metrics`, `/health` and `/ready` over HTTP, for this machine alone: on a loopback address, or on
//! a Unix socket. One small task beside the sessions: few connections, one request each, one text
//! made at a time and with a rest behind it, so that nobody can keep the server busy with it.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::daemon::listeners::named;
use crate::daemon::reload::Reloader;
use crate::daemon::server::Shared;
use crate::daemon::socket_file::{self, SocketFile};
use crate::daemon::stopping::Stop;
use crate::net::listener;
use crate::settings::{self, RunAs};

/// Connections at the same time; any more are closed.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to come.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last, its answer included.
const CONNECTION_TIME: Duration = Duration::from_secs(20);
/// Bytes of a request and its headers at most, and of what is written ahead; the least that hyper takes.
const BUFFER_BYTES: usize = 8 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 32;
/// How long no text is made behind one that was.
const REST: Duration = Duration::from_millis(20);
/// How long to wait where connections cannot be accepted.
const PAUSE: Duration = Duration::from_secs(1);
/// The mode of the Unix socket: for root, the account that serves and its group.
const MODE: u32 = 0o660;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// The sockets, bound and not yet served.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Endpoint {
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
    /// That of the Unix socket, where it was made here.
    pub(in crate::daemon) file: Option<SocketFile>,
}

impl Endpoint {
    /// Binds what the settings name and the service manager did not pass. To be called before the
    /// sandbox, from the only thread.
    ///
    /// # Errors
    /// What is in the way, and what to do about it.
    pub(in crate::daemon) fn bind(
        settings: &settings::Metrics,
        passed: (Option<TcpListener>, Option<UnixListener>),
        run_as: Option<&RunAs>,
    ) -> io::Result<Self> {
        let (mut endpoint, (tcp, unix)) = (Self::default(), passed);
        if let Some(address) = settings.listen {
            endpoint.tcp = Some(match tcp {
                Some(tcp) => tcp,
                None => listener::bind(address).map_err(io::Error::other)?,
            });
        }
        if let Some(path) = &settings.socket {
            if unix.is_some() {
                endpoint.unix = unix;
            } else {
                let (socket, file) = socket_file::bind(path, "[metrics] socket", MODE, run_as)?;
                (endpoint.unix, endpoint.file) = (Some(socket), Some(file));
            }
        }
        Ok(endpoint)
    }

    /// Serves whoever asks, for as long as this is polled.
    pub(in crate::daemon) async fn serve(self, reloader: Arc<Reloader>, stop: watch::Receiver<Stop>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let answers = Arc::new(Answers { reloader, stop, turn: Mutex::new(()) });
        let tcp = self.tcp.map(tokio::net::TcpListener::from_std).transpose();
        let unix = self.unix.map(tokio::net::UnixListener::from_std).transpose();
        let (tcp, unix) = match tcp.and_then(|tcp| Ok((tcp, unix?))) {
            Ok(listeners) => listeners,
            Err(failure) => {
                warn!(%failure, "the metrics are not served");
                return;
            }
        };
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = accept_tcp(tcp.as_ref()) => accepted.map(Connection::Tcp),
                accepted = accept_unix(unix.as_ref()) => accepted.map(Connection::Unix),
            };
            match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok(connection), Ok(place)) => {
                    connections.spawn(connection.serve(Arc::clone(&answers), place));
                }
                (Ok(_), Err(_)) => debug!("too many connections to the metrics; one was closed"),
                (Err(failure), _) => {
                    warn!(%failure, "cannot accept connections to the metrics; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn accept_tcp(listener: Option<&tokio::net::TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn accept_unix(listener: Option<&tokio::net::UnixListener>) -> io::Result<tokio::net::UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

enum Connection {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Connection {
    async fn serve(self, answers: Arc<Answers>, place: OwnedSemaphorePermit) {
        match self {
            Self::Tcp(stream) => answers.serve(stream).await,
            Self::Unix(stream) => answers.serve(stream).await,
        }
        drop(place);
    }
}

/// What answers.
struct Answers {
    reloader: Arc<Reloader>,
    stop: watch::Receiver<Stop>,
    /// Whose text is made.
    turn: Mutex<()>,
}

impl Answers {
    /// One request of one connection.
    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(|request: Request<Incoming>| {
            let answers = Arc::clone(&self);
            async move { Ok::<_, Infallible>(answers.answer(&request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        match timeout(CONNECTION_TIME, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => debug!(%failure, "a request for metrics was not served"),
            Err(_) => debug!("a request for metrics took too long"),
        }
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), is_read) {
            ("/metrics" | "/health" | "/ready", false) => {
                let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Only GET and HEAD.\n".to_owned());
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                refused
            }
            ("/metrics", true) => match self.metrics().await {
                Some(text) => response(StatusCode::OK, TEXT, text),
                None => {
                    response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "The figures could not be gathered.\n".to_owned())
                }
            },
            ("/health", true) => response(StatusCode::OK, JSON, "{\"status\":\"alive\"}\n".to_owned()),
            ("/ready", true) => {
                let reasons = not_ready(&self.reloader.shared, self.is_stopping());
                if reasons.is_empty() {
                    return response(StatusCode::OK, JSON, "{\"status\":\"ready\"}\n".to_owned());
                }
                let answer = serde_json::json!({ "status": "not ready", "reasons": reasons });
                response(StatusCode::SERVICE_UNAVAILABLE, JSON, format!("{answer}\n"))
            }
            _ => response(
                StatusCode::NOT_FOUND,
                TEXT,
                "There are /metrics, /health and /ready, and nothing else.\n".to_owned(),
            ),
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow() > Stop::No
    }

    /// The text, made by one at a time.
    async fn metrics(&self) -> Option<String> {
        let _turn = self.turn.lock().await;
        let (reloader, stopping) = (Arc::clone(&self.reloader), self.is_stopping());
        let users = reloader.shared.config().metrics.users;
        let text = tokio::task::spawn_blocking(move || super::text(&reloader, stopping, users)).await;
        sleep(REST).await;
        text.ok()
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why no new work is taken, in words; nothing where it is.
pub(super) fn not_ready(shared: &Shared, stopping: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if stopping {
        reasons.push("the server is stopping".to_owned());
    } else if shared.drain.is_draining() {
        reasons.push("the server is draining: nobody new is let in".to_owned());
    }
    if !shared.audit.is_healthy() {
        reasons.push("the audit log cannot be written; new work is refused until it can be".to_owned());
    }
    let (wanted, open) = (named(&shared.config().listen).len(), shared.pulse.accepting());
    if open < wanted && !stopping {
        reasons.push(format!("{open} of {wanted} sockets accept connections"));
    }
    reasons
}
