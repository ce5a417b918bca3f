//! A session, and the records that it leaves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::event::Event;
use portcullis::audit::record::{DataFacts, Detail, FileFacts, Record, SessionFacts, TlsFacts, Traffic};
use rand::RngExt;
use rand::rngs::StdRng;

use super::Happened;

/// One session, which goes on from one record to the next.
pub(super) struct Visit<'a> {
    happened: &'a mut Vec<Happened>,
    random: &'a mut StdRng,
    /// The present, in milliseconds.
    pub(super) now: i64,
    facts: Arc<SessionFacts>,
    tls: Option<Arc<TlsFacts>>,
    user: Option<Arc<str>>,
    program: &'static str,
    totals: Traffic,
}

impl<'a> Visit<'a> {
    /// Somebody connects, and speaks TLS.
    pub(super) fn begin(
        now: i64,
        address: IpAddr,
        program: &'static str,
        random: &'a mut StdRng,
        happened: &'a mut Vec<Happened>,
    ) -> Self {
        let mut visit = Self::in_clear(now, address, program, random, happened);
        visit.tls = Some(Arc::new(TlsFacts {
            version: "1.3",
            cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
            group: Some("X25519MLKEM768".to_owned()),
            server_name: Some("files.example.com".to_owned()),
            identity: Arc::new([]),
            alpn: None,
            resumed: false,
            exception: None,
            client: None,
        }));
        visit.record(Event::TlsEstablished, None);
        visit
    }

    /// Somebody connects, and does not.
    pub(super) fn in_clear(
        now: i64,
        address: IpAddr,
        program: &'static str,
        random: &'a mut StdRng,
        happened: &'a mut Vec<Happened>,
    ) -> Self {
        let id = ulid::Ulid::from_parts(u64::try_from(now).unwrap(), random.random()).to_string();
        let client = SocketAddr::new(address, random.random_range(20_000..60_000));
        let server = SocketAddr::new([203, 0, 113, 4].into(), 21);
        let policy: Arc<str> = "9f2feb0f1ef425b292f2f94bc8482494df430413".into();
        let facts = Arc::new(SessionFacts { id, created_micros: now * 1000, client, server, proxy: None, policy });
        let totals = Traffic::default();
        let mut visit = Self { happened, random, now, facts, tls: None, user: None, program, totals };
        visit.record(Event::ConnectionAccepted, None);
        visit
    }

    fn made(&self, event: Event) -> Record {
        let mut record = Record::new(event);
        record.session = Some(Arc::clone(&self.facts));
        record.tls.clone_from(&self.tls);
        record.user.clone_from(&self.user);
        record
    }

    fn push(&mut self, record: Record) {
        self.happened.push((self.now, record));
        self.now += self.random.random_range(20..400);
    }

    /// A record with nothing but its event, and its reason where it failed.
    pub(super) fn record(&mut self, event: Event, reason: Option<&'static str>) {
        let record = self.made(event);
        self.push(match reason {
            Some(reason) => record.failed(reason),
            None => record,
        });
    }

    /// A login that fails.
    pub(super) fn fail(&mut self, user: &str, reason: &'static str) {
        self.user = Some(user.into());
        let mut record = self.made(Event::LoginFailure).failed(reason);
        record.command = Some("PASS");
        record.codes = vec![530];
        self.push(record.with("client", Detail::Text(self.program.to_owned())));
        self.user = None;
        self.now += self.random.random_range(500..5_000);
    }

    /// A login that was not even checked.
    pub(super) fn throttled(&mut self, user: &str) {
        self.user = Some(user.into());
        self.record(Event::LoginLimited, Some("address_limit"));
        self.user = None;
    }

    /// A login that succeeds.
    pub(super) fn log_in(&mut self, user: &str) {
        self.user = Some(user.into());
        let mut record = self.made(Event::LoginSuccess);
        record.command = Some("PASS");
        record.codes = vec![230];
        let record = record.with("factors", Detail::Text("password".to_owned()));
        self.push(record.with("client", Detail::Text(self.program.to_owned())));
    }

    fn transfer(&mut self, event: Event, path: String, bytes: u64) -> Record {
        let mut record = self.made(event);
        let down = event == Event::FileDownload;
        record.command = Some(if down { "RETR" } else { "STOR" });
        record.codes = vec![150, 226];
        record.duration = Some(Duration::from_millis(5 + bytes / 50_000));
        record.file = Some(FileFacts { path, directory: false, size: Some(bytes), digest: None, renamed_to: None });
        record.traffic =
            Some(Traffic { bytes_in: if down { 0 } else { bytes }, bytes_out: if down { bytes } else { 0 } });
        record.data = Some(DataFacts {
            port: self.random.random_range(50_000..50_100),
            binding: "session",
            exception: None,
            resumed: true,
            representation: 'I',
        });
        if down {
            self.totals.bytes_out += bytes;
        } else {
            self.totals.bytes_in += bytes;
        }
        record
    }

    pub(super) fn download(&mut self, path: &str, bytes: u64) {
        let record = self.transfer(Event::FileDownload, path.to_owned(), bytes);
        self.push(record);
    }

    pub(super) fn upload(&mut self, path: &str, bytes: u64, replaced: bool) {
        let record = self.transfer(Event::FileUpload, path.to_owned(), bytes);
        self.push(if replaced { record.with("replaced", Detail::Flag(true)) } else { record });
    }

    pub(super) fn delete(&mut self, path: &str) {
        let mut record = self.made(Event::FileDelete);
        record.command = Some("DELE");
        record.codes = vec![250];
        record.file =
            Some(FileFacts { path: path.to_owned(), directory: false, size: None, digest: None, renamed_to: None });
        self.push(record);
    }

    pub(super) fn rename(&mut self, path: &str, to: &str) {
        let mut record = self.made(Event::FileRename);
        record.command = Some("RNTO");
        record.codes = vec![250];
        let renamed_to = Some(to.to_owned());
        record.file = Some(FileFacts { path: path.to_owned(), directory: false, size: None, digest: None, renamed_to });
        self.push(record);
    }

    /// A data connection that is refused.
    pub(super) fn refused_data(&mut self, reason: &'static str) {
        let mut record = self.made(Event::DataBindingFailed).failed(reason);
        record.command = Some("RETR");
        record.codes = vec![522];
        self.push(record.with("client", Detail::Text(self.program.to_owned())));
    }

    /// Time passes.
    pub(super) fn pause(&mut self, milliseconds: i64) {
        self.now += milliseconds;
    }

    /// The session ends.
    pub(super) fn end(mut self) {
        let mut record = self.made(Event::SessionClosed);
        record.traffic = Some(self.totals);
        self.push(record.with("end", Detail::Text("quit".to_owned())));
    }
}

/// A connection that was turned away before there was a session.
pub(super) fn turned_away(address: IpAddr, reason: &'static str) -> Record {
    let record = Record::new(Event::ConnectionRefused).failed(reason);
    record.with("source_ip", Detail::Text(address.to_string()))
}

/// A summary of many such connections.
pub(super) fn flood(network: &str, reason: &'static str, count: u64) -> Record {
    let mut record = Record::new(Event::ConnectionRefused).failed(reason);
    record.duration = Some(Duration::from_secs(1));
    record.with("count", Detail::Number(count)).with("source_network", Detail::Text(network.to_owned()))
}
