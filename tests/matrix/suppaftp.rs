//! suppaftp, a client in Rust: one session, and one TLS configuration for all of its connections.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use suppaftp::types::FileType;
use suppaftp::{FtpError, RustlsConnector, RustlsFtpStream};

use super::action::{Action, Outcome, Report, Tls};
use super::place::Place;
use crate::support::tls::{self, Version};
use crate::support::{PASSWORD, PATIENCE};

type Done = Result<Vec<String>, FtpError>;

/// Does everything.
pub fn suppaftp(place: &Place) -> Vec<Report> {
    let version = match place.tls() {
        Tls::V13 => Version::Tls13,
        Tls::V12 => Version::Tls12,
        Tls::ByServer => Version::Any,
    };
    let config = tls::client(&place.server.authority(), version, &[]);
    let tcp = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], place.server.port())), PATIENCE).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let clear = RustlsFtpStream::connect_with_stream(tcp).unwrap();
    let mut ftp = clear.into_secure(RustlsConnector::from(Arc::clone(&config)), "localhost").unwrap();
    ftp.login("alice", PASSWORD).unwrap();
    ftp.transfer_type(FileType::Binary).unwrap();

    let mut reports = Vec::new();
    let mut step = |action: Action, done: Done| {
        let outcome = done.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Done);
        reports.push(Report { action, outcome });
    };
    let local = place.local();
    let up = |ftp: &mut RustlsFtpStream, local_name: &str, name: &str| -> Done {
        ftp.put_file(name, &mut File::open(local.join(local_name)).unwrap())?;
        Ok(Vec::new())
    };
    let down = |ftp: &mut RustlsFtpStream, name: &str, local_name: &str| -> Done {
        fs::write(local.join(local_name), ftp.retr_as_buffer(name)?.into_inner()).unwrap();
        Ok(Vec::new())
    };

    step(Action::List, ftp.nlst(Some("listed")));
    step(Action::Upload, up(&mut ftp, "up", "up"));
    step(Action::UploadEmpty, up(&mut ftp, "empty", "empty"));
    step(Action::Download, down(&mut ftp, "down", "down"));
    step(Action::ResumeUpload, resume_upload(&mut ftp, &fs::read(local.join("part-up")).unwrap()));
    step(Action::ResumeDownload, {
        let part = fs::read(local.join("part-down")).unwrap();
        let rest = ftp.resume_transfer(part.len()).and_then(|()| ftp.retr_as_buffer("part-down"));
        rest.map(|rest| {
            let mut target = File::options().append(true).open(local.join("part-down")).unwrap();
            target.write_all(&rest.into_inner()).unwrap();
            Vec::new()
        })
    });
    step(Action::Rename, ftp.rename("old", "new").map(|()| Vec::new()));
    step(Action::Delete, ftp.rm("gone").map(|()| Vec::new()));
    let each = |names: Vec<String>, ftp: &mut RustlsFtpStream, what: &dyn Fn(&mut RustlsFtpStream, &str) -> Done| {
        names.iter().try_fold(Vec::new(), |_, name| what(ftp, name))
    };
    let names = Place::names().iter().map(|&name| name.to_owned()).collect();
    step(
        Action::Names,
        each(names, &mut ftp, &|ftp, name| {
            let path = format!("names/{name}");
            up(ftp, &path, &path)?;
            down(ftp, &path, &format!("back-names/{name}"))
        }),
    );
    let sent = each(Place::many(), &mut ftp, &|ftp, name| up(ftp, &format!("many/{name}"), &format!("many/{name}")));
    step(Action::Upload200, sent);
    let fetched =
        each(Place::many(), &mut ftp, &|ftp, name| down(ftp, &format!("store/{name}"), &format!("back-many/{name}")));
    step(Action::Download200, fetched);
    let _ = ftp.quit();
    reports
}

fn resume_upload(ftp: &mut RustlsFtpStream, whole: &[u8]) -> Done {
    let size = ftp.size("part-up")?;
    ftp.append_file("part-up", &mut Cursor::new(&whole[size..]))?;
    Ok(Vec::new())
}
