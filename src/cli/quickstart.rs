//! `portcullis quickstart`: from nothing to a first transfer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::deployment::{Deployment, Settings};
use super::{Failure, init, program, say, serve, user};
use crate::config::shell::word;
use crate::config::{Override, PortRange};
use crate::daemon::Notice;
use crate::identity::Username;

const DEMO_USER: &str = "demo";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2121);
const PASSIVE: PortRange = PortRange { first: 50000, last: 50099 };

/// Set everything up in one directory and serve it, for a first transfer.
///
/// DIR gets certs/ (a local CA and a certificate for localhost), policy/, files/demo/, audit/ and
/// state/, and a user `demo` with a password that is shown once. Prints lines for curl, lftp and Python to paste.
/// Run again, it goes on with the same DIR. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portcullis quickstart
  portcullis quickstart --dir /tmp/try --listen 127.0.0.1:2122")]
pub(super) struct Arguments {
    /// Where to keep everything.
    #[arg(long, value_name = "DIR", default_value = "./portcullis-demo")]
    dir: PathBuf,
    /// Where to listen. Default: 127.0.0.1:2121, or what DIR says already.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

/// Makes what is missing, then serves.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::io(arguments.dir.display(), &error);
    std::fs::create_dir_all(&arguments.dir).map_err(io)?;
    let root = arguments.dir.canonicalize().map_err(io)?;
    let deployment = Deployment::at(&root);
    if !deployment.exists()? {
        deployment.create(&settings(arguments.listen.unwrap_or(LISTEN)))?;
    }
    let demo = Username::parse(DEMO_USER).map_err(|error| Failure::Failed(error.to_string()))?;
    let password = if user::exists(&deployment.policy(), &demo)? {
        None
    } else {
        user::add_demo(&deployment.policy(), &demo, root.join("files").join(DEMO_USER))?.generated
    };
    let overrides = overrides(arguments.listen)?;
    let listen = crate::config::Config::load(&deployment.policy(), &overrides)?.config.listen;
    let address = listen.explicit.first().or(listen.implicit.first()).copied().unwrap_or(LISTEN);
    let words = Words {
        root: &root,
        ca: deployment.ca(),
        address,
        password: password.as_ref().map(|p| p.as_str()),
        program: program(),
    };
    let served = serve::serve(&deployment.policy(), &overrides, Notice { ready_text: Some(words.text()) });
    if let (Err(_), Some(password)) = (&served, &password) {
        // The server may have failed before it showed the password, which nobody knows otherwise.
        say(format!("The password of {DEMO_USER} is {}; it is shown this once.", &**password))?;
    }
    served
}

fn overrides(listen: Option<SocketAddr>) -> Result<Vec<Override>, Failure> {
    let set = |address: SocketAddr| format!("listen.explicit=[\"{address}\"]").parse::<Override>();
    listen.map(set).transpose().map(|set| set.into_iter().collect()).map_err(Failure::Failed)
}

/// Only this machine gets in; where the server listens on an address of its own, that one too.
fn settings(listen: SocketAddr) -> Settings {
    let own = Some(listen.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    let names = std::iter::once("localhost".to_owned()).chain(own.map(|ip| ip.to_string())).collect();
    let allow = init::loopback().into_iter().chain(own.map(ipnet::IpNet::from)).collect();
    Settings {
        explicit: vec![listen],
        implicit: Vec::new(),
        passive: PASSIVE,
        names,
        advertise: Vec::new(),
        allow,
        run_as: None,
        system: false,
    }
}

/// What is printed once the server accepts connections.
struct Words<'a> {
    root: &'a Path,
    ca: PathBuf,
    address: SocketAddr,
    password: Option<&'a str>,
    /// This program as a word of the shell.
    program: String,
}

impl Words<'_> {
    /// The name or address under which a client on this machine reaches the server, and for which
    /// the certificate was made.
    fn host(&self) -> String {
        match self.address.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        }
    }

    fn text(&self) -> String {
        let policy = word(&self.root.join("policy").display().to_string());
        let password = match self.password {
            Some(password) => format!("{password}   (shown this once; only its hash is stored)"),
            None => format!(
                "was shown at the first run; set a new one, then start again:\n          \
                 {} user passwd demo --policy {policy} --generate",
                self.program
            ),
        };
        format!(
            "Portcullis serves {files} on {address}. Ctrl-C ends it.\n\
             \n\
             user      demo\n\
             password  {password}\n\
             \n\
             With curl, an upload and a listing:\n  {upload}\n  {listing}\n\
             With lftp:\n  {lftp}\n\
             With Python:\n{python}\n",
            files = self.root.join("files/demo").display(),
            address = self.address,
            upload = self.curl("-T - ", "hello.txt", "echo hello | "),
            listing = self.curl("", "", ""),
            lftp = self.lftp(),
            python = self.python(),
        )
    }

    fn curl(&self, option: &str, file: &str, before: &str) -> String {
        let ca = word(&self.ca.display().to_string());
        let user = self.password.map_or_else(|| DEMO_USER.to_owned(), |password| format!("{DEMO_USER}:{password}"));
        let (host, port) = (self.host(), self.address.port());
        // Brackets are a pattern to the shell.
        let url = word(&format!("ftp://{host}:{port}/{file}"));
        format!("{before}curl --ssl-reqd --cacert {ca} -u {user} {option}{url}")
    }

    /// The settings come before the connection, so that they hold for it.
    fn lftp(&self) -> String {
        let ca = self.ca.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
        let user = self.password.map_or_else(|| DEMO_USER.to_owned(), |password| format!("{DEMO_USER},{password}"));
        let commands = format!(
            "set ftp:ssl-force true; set ftp:ssl-protect-data true; set ssl:ca-file \"{ca}\"; \
             set ssl:check-hostname true; open -u {user} ftp://{}:{}; ls",
            self.host(),
            self.address.port()
        );
        format!("lftp -c {}", word(&commands))
    }

    /// Python's ftplib opens a new TLS session for each data connection, which proves nothing about
    /// who opens it; six lines make it resume the control connection's.
    fn python(&self) -> String {
        let host = self.host();
        let host = host.trim_matches(['[', ']']);
        let ca = quoted(&self.ca.display().to_string());
        let (import, password) = match self.password {
            Some(password) => ("", quoted(password)),
            None => (", getpass", "getpass.getpass()".to_owned()),
        };
        format!(
            "python3 - <<'END'\n\
             import ftplib, ssl{import}\n\
             class FTPS(ftplib.FTP_TLS):\n    \
                 def ntransfercmd(self, cmd, rest=None):\n        \
                     data, size = ftplib.FTP.ntransfercmd(self, cmd, rest)\n        \
                     return self.context.wrap_socket(data, server_hostname=self.host, session=self.sock.session), size\n\
             ftp = FTPS(context=ssl.create_default_context(cafile={ca}))\n\
             ftp.connect('{host}', {port})\n\
             ftp.login('{DEMO_USER}', {password})\n\
             ftp.prot_p()\n\
             ftp.retrlines('LIST')\n\
             ftp.quit()\n\
             END",
            port = self.address.port(),
        )
    }
}

/// The text as a Python string; the escapes that Rust writes are JSON's here, which Python shares.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn words<'a>(root: &'a Path, address: &str, password: Option<&'a str>) -> Words<'a> {
        Words {
            root,
            ca: root.join("certs/ca.pem"),
            address: address.parse().unwrap(),
            password,
            program: "/opt/portcullis".into(),
        }
    }

    #[test]
    fn the_lines_name_the_server_as_the_certificate_does() {
        let root = Path::new("/tmp/demo");
        let text = words(root, "127.0.0.1:2121", Some("Ab2-Cd3")).text();
        assert!(text.contains("-u demo:Ab2-Cd3 -T - ftp://localhost:2121/hello.txt"), "{text}");
        assert!(text.contains("; open -u demo,Ab2-Cd3 ftp://localhost:2121; ls'"), "{text}");
        assert!(words(root, "192.0.2.7:21", None).text().contains("-u demo ftp://192.0.2.7:21/"));
        assert!(words(root, "[2001:db8::7]:21", None).text().contains("'ftp://[2001:db8::7]:21/'"));
        assert_eq!(settings("192.0.2.7:21".parse().unwrap()).names, ["localhost", "192.0.2.7"]);
    }

    /// README.md shows the output word for word, with `…` for what is left out.
    #[test]
    fn the_readme_shows_what_is_printed() {
        let readme = include_str!("../../README.md");
        let (_, shown) = readme.split_once("    Portcullis serves ").unwrap();
        let (shown, _) = shown.split_once("\n\n(").unwrap();
        let shown: Vec<&str> = shown.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
        let shown = format!("Portcullis serves {}", shown.join("\n"));
        let printed =
            words(Path::new("/home/you/portcullis-demo"), "127.0.0.1:2121", Some("Kw7mTq-bX3vRn-hZ9pLd-cF5sYg")).text();
        let mut rest = printed.trim_end();
        for (index, part) in shown.split('…').enumerate() {
            let at =
                rest.find(part).unwrap_or_else(|| panic!("README.md has {part:?}, and this is printed:\n{printed}"));
            assert!(index > 0 || at == 0, "{part:?}");
            rest = rest.get(at + part.len()..).unwrap();
        }
        assert_eq!(rest, "", "this is printed and not in README.md");
    }

    #[test]
    fn odd_directories_survive_the_shell() {
        let root = Path::new("/tmp/it's my \"demo\"");
        let words = words(root, "127.0.0.1:2121", Some("Ab2-Cd3"));
        let line = words.curl("", "", "").replacen("curl", "printf '%s\\n'", 1);
        let out = Command::new("sh").arg("-c").arg(line).output().unwrap();
        let arguments = String::from_utf8(out.stdout).unwrap();
        assert!(arguments.lines().any(|line| line == "/tmp/it's my \"demo\"/certs/ca.pem"), "{arguments}");
        assert!(words.python().contains(r#"cafile="/tmp/it's my \"demo\"/certs/ca.pem""#));
    }

    #[test]
    fn a_second_run_says_how_to_set_a_password() {
        let text = words(Path::new("/tmp/demo"), "127.0.0.1:2121", None).text();
        assert!(text.contains(" /opt/portcullis user passwd demo --policy /tmp/demo/policy --generate"), "{text}");
        assert!(!text.contains("demo:") && text.contains("getpass.getpass()"), "{text}");
    }
}
