//! What a client is asked to do, what it reports, and what is to be found.

use super::place::Place;

/// One of the things every client is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Names a directory's files.
    List,
    /// Sends a file.
    Upload,
    /// Sends a file of no bytes.
    UploadEmpty,
    /// Fetches a file.
    Download,
    /// Goes on with an upload of which the server has a part.
    ResumeUpload,
    /// Goes on with a download of which there is a part here.
    ResumeDownload,
    /// Renames a file.
    Rename,
    /// Deletes a file.
    Delete,
    /// Sends and fetches files with spaces, umlauts, and what lies beyond Unicode's first plane.
    Names,
    /// Sends two hundred small files.
    Upload200,
    /// Fetches two hundred small files.
    Download200,
}

impl Action {
    /// All of them, in the order in which clients do them.
    pub const ALL: [Self; 11] = [
        Self::List,
        Self::Upload,
        Self::UploadEmpty,
        Self::Download,
        Self::ResumeUpload,
        Self::ResumeDownload,
        Self::Rename,
        Self::Delete,
        Self::Names,
        Self::Upload200,
        Self::Download200,
    ];

    /// The word by which clients report it.
    pub fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Upload => "upload",
            Self::UploadEmpty => "upload-empty",
            Self::Download => "download",
            Self::ResumeUpload => "resume-upload",
            Self::ResumeDownload => "resume-download",
            Self::Rename => "rename",
            Self::Delete => "delete",
            Self::Names => "names",
            Self::Upload200 => "upload-200",
            Self::Download200 => "download-200",
        }
    }

    /// How the document calls it.
    pub fn prose(self) -> &'static str {
        match self {
            Self::List => "listing",
            Self::Upload => "uploading",
            Self::UploadEmpty => "uploading an empty file",
            Self::Download => "downloading",
            Self::ResumeUpload => "resuming an upload",
            Self::ResumeDownload => "resuming a download",
            Self::Rename => "renaming",
            Self::Delete => "deleting",
            Self::Names => "names with spaces and beyond ASCII",
            Self::Upload200 => "200 uploads in a row",
            Self::Download200 => "200 downloads in a row",
        }
    }
}

/// What a client says of one action.
#[derive(Clone, Debug)]
pub struct Report {
    /// The action.
    pub action: Action,
    /// How it went.
    pub outcome: Outcome,
}

/// How an action went, as the client sees it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Well; a listing has these names.
    Done(Vec<String>),
    /// Not; the client's words.
    Failed(String),
    /// The client has no such command.
    Lacking,
}

impl Report {
    /// Of a program that was run for one action: what its output and error say where it failed.
    pub fn of(action: Action, ran: &crate::clients::Ran) -> Self {
        let outcome = if ran.code == Some(0) {
            Outcome::Done(Vec::new())
        } else {
            Outcome::Failed(format!("{}{}", String::from_utf8_lossy(&ran.out), ran.err))
        };
        Self { action, outcome }
    }

    /// Of a program that has no such command.
    pub fn lacking(action: Action) -> Self {
        Self { action, outcome: Outcome::Lacking }
    }
}

/// Which version of TLS is spoken, and who sees to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// 1.3: the client is held to it.
    V13,
    /// 1.2: the client is held to it.
    V12,
    /// 1.2: the client offers whatever it does by itself, and the server holds its network to that
    /// version, by a dated exception.
    ByServer,
}

impl Tls {
    /// The version to which the client is held, if it is.
    pub fn of_client(self) -> Option<&'static str> {
        match self {
            Self::V13 => Some("1.3"),
            Self::V12 => Some("1.2"),
            Self::ByServer => None,
        }
    }

    /// The version spoken.
    pub fn spoken(self) -> &'static str {
        match self {
            Self::V13 => "1.3",
            Self::V12 | Self::ByServer => "1.2",
        }
    }
}

/// What a user's data connections must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// What everybody's must.
    Session,
    /// Less, by a dated exception.
    Exception(&'static str),
}

/// One way of using a client, and what is to be found in it; every action not named works.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The version of TLS, and who sees to it.
    pub tls: Tls,
    /// What the user's data connections must show.
    pub binding: Binding,
    /// What does not work.
    pub but: &'static [(Action, Finding)],
}

/// Why an action does not work.
#[derive(Clone, Copy, Debug)]
pub enum Finding {
    /// It fails, and the client's words have this in them.
    Fails(&'static str),
    /// The client has no such command.
    Lacks,
}

/// A row of the matrix.
#[derive(Debug)]
pub struct Client {
    /// Its name, and where it comes from.
    pub name: &'static str,
    /// What has to be set in the client, and what to know of it.
    pub setting: &'static str,
    /// Whether a data connection may be refused now and then, since the client tries again by itself.
    pub patient: bool,
    /// Does everything.
    pub drive: fn(&Place) -> Vec<Report>,
    /// The ways it is used; ways that are refused show what the refusal says.
    pub ways: &'static [Way],
}
