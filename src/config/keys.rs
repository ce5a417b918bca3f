//! Every key of the policy files: which table takes it, what value it takes, and for numbers the
//! default and bounds. What the files may hold is judged by it, the schema for editors is made of it,
//! and `docs/policy.md` has a row for each key, which a test compares with it.

use super::kind::Kind::{
    self, Count, Date, Flag, List, Lists, Moment, Named, OneOrMore, Permissions, Table, Tables, Text, Word, Words,
};
use super::kind::Shape;

/// A key that takes a whole number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// The table that takes it.
    pub(super) table: &'static str,
    /// The key.
    pub(super) key: &'static str,
    /// Its value where the file does not say.
    pub(super) default: u64,
    /// The least value.
    pub(super) least: u64,
    /// The greatest value.
    pub(super) most: u64,
    /// The unit, for messages.
    pub(super) unit: &'static str,
}

/// The default of a bound that is not there unless it is stated.
pub(super) const NONE: u64 = u64::MAX;

macro_rules! numbers {
    ($($name:ident = $table:literal $key:literal: $default:expr, $least:literal..=$most:literal $unit:literal;)*) => {
        $(pub(super) const $name: Number =
            Number { table: $table, key: $key, default: $default, least: $least, most: $most, unit: $unit };)*
        /// Every number.
        pub(super) const NUMBERS: &[Number] = &[$($name),*];
    };
}

#[rustfmt::skip]
numbers! {
    ATTEMPTS_PER_SESSION      = "login" "attempts-per-session":      3,          1..=100 "attempts";
    FAILURES_PER_ADDRESS      = "login" "failures-per-address":      10,         1..=10_000 "failures";
    FAILURE_FORGIVEN_SECONDS  = "login" "failure-forgiven-seconds":  60,         1..=86_400 "seconds";
    FAILURES_PER_USER_NETWORK = "login" "failures-per-user-network": 5,          1..=10_000 "failures";
    FAILURES_PER_MINUTE       = "login" "failures-per-minute":       120,        1..=100_000 "failures";
    DELAY_FIRST_MS            = "login" "delay-first-ms":            500,        0..=60_000 "milliseconds";
    DELAY_LONGEST_SECONDS     = "login" "delay-longest-seconds":     30,         0..=300 "seconds";
    BAN_MINUTES               = "login" "ban-minutes":               15,         1..=525_600 "minutes";
    CODE_REUSE_SECONDS        = "login" "code-reuse-seconds":        0,          0..=90 "seconds";

    CHARACTERS_MIN            = "passwords" "characters-min":        15,         8..=128 "characters";
    SCORE_MIN                 = "passwords" "score-min":             3,          0..=4 "(the scale of zxcvbn)";
    AGE_DAYS_MAX              = "passwords" "age-days-max":          180,        1..=3_650 "days";
    AGE_WARNING_DAYS          = "passwords" "age-warning-days":      14,         0..=365 "days";
    HISTORY                   = "passwords" "history":               5,          0..=24 "passwords";
    ARGON2_MEMORY_KIB         = "passwords" "argon2-memory-kib":     19_456,     64..=262_144 "KiB";
    ARGON2_ITERATIONS         = "passwords" "argon2-iterations":     2,          1..=10 "passes";
    ARGON2_PARALLELISM        = "passwords" "argon2-parallelism":    1,          1..=4 "lanes";
    CHECKS_PARALLEL           = "passwords" "checks-parallel":       2,          1..=64 "checks";

    SESSIONS                  = "limits" "sessions":                 1_000,      1..=100_000 "sessions";
    SESSIONS_PER_ADDRESS      = "limits" "sessions-per-address":     256,        1..=100_000 "sessions";
    HANDSHAKES                = "limits" "handshakes":               64,         1..=10_000 "handshakes";
    LINE_BYTES                = "limits" "line-bytes":               4_096,      512..=65_536 "bytes";
    COMMANDS_PER_SECOND       = "limits" "commands-per-second":      2_000,      1..=1_000_000 "commands";
    FAILED_COMMANDS           = "limits" "failed-commands":          50,         1..=1_000_000 "commands";
    LOGIN_SECONDS             = "limits" "login-seconds":            60,         1..=3_600 "seconds";
    HANDSHAKE_SECONDS         = "limits" "handshake-seconds":        10,         1..=300 "seconds";
    IDLE_SECONDS              = "limits" "idle-seconds":             300,        1..=86_400 "seconds";
    DATA_CONNECT_SECONDS      = "limits" "data-connect-seconds":     15,         1..=300 "seconds";
    STALL_SECONDS             = "limits" "stall-seconds":            120,        1..=86_400 "seconds";
    DRAIN_SECONDS             = "limits" "drain-seconds":            30,         0..=86_400 "seconds";
    HASHES_PARALLEL           = "limits" "hashes-parallel":          2,          1..=64 "hashes";
    HASH_SECONDS              = "limits" "hash-seconds":             600,        1..=86_400 "seconds";
    HASH_WAIT_SECONDS         = "limits" "hash-wait-seconds":        30,         0..=3_600 "seconds";

    TRANSFERS                 = "limits" "transfers":                NONE,       1..=100_000 "transfers";
    TRANSFERS_PER_ADDRESS     = "limits" "transfers-per-address":    NONE,       1..=100_000 "transfers";
    UPLOAD_BYTES_PER_SECOND   = "limits" "upload-bytes-per-second":  NONE,       1_024..=1_099_511_627_776 "bytes a second";
    DOWNLOAD_BYTES_PER_SECOND = "limits" "download-bytes-per-second": NONE,      1_024..=1_099_511_627_776 "bytes a second";

    RESOLVE_SECONDS           = "passive" "resolve-seconds":         60,         1..=86_400 "seconds";

    FREE_SPACE_FLOOR_BYTES    = "storage" "free-space-floor-bytes":  67_108_864, 0..=9_223_372_036_854_775_807 "bytes";
    FREE_INODES_FLOOR         = "storage" "free-inodes-floor":       1_024,      0..=9_223_372_036_854_775_807 "inodes";
    FREE_SPACE_WARN_PERCENT   = "storage" "free-space-warn-percent": 10,         0..=99 "percent";
    QUOTA_WARN_PERCENT        = "storage" "quota-warn-percent":      90,         1..=100 "percent";
    QUOTA_SCAN_HOURS          = "storage" "quota-scan-hours":        24,         1..=8_760 "hours";
    PARTIAL_UPLOADS_HOURS     = "storage" "partial-uploads-hours":   24,         0..=8_760 "hours";

    CHECKPOINT_RECORDS        = "audit" "checkpoint-records":        1_000,      1..=1_000_000 "records";
    CHECKPOINT_SECONDS        = "audit" "checkpoint-seconds":        60,         1..=86_400 "seconds";
    ROTATE_BYTES              = "audit" "rotate-bytes":              104_857_600, 0..=1_099_511_627_776 "bytes";
    ROTATE_HOURS              = "audit" "rotate-hours":              24,         0..=8_760 "hours";
    AUDIT_KEEP_DAYS           = "audit" "keep-days":                 NONE,       1..=36_500 "days";
    AUDIT_KEEP_BYTES          = "audit" "keep-bytes":                NONE,       1_048_576..=9_223_372_036_854_775_807 "bytes";
    GUESS_FAILURES            = "findings" "guess-failures":         10,         2..=100_000 "failures";
    GUESS_QUIET_MINUTES       = "findings" "guess-quiet-minutes":    60,         1..=10_080 "minutes";
    SUCCESS_AFTER_FAILURES    = "findings" "success-after-failures": 8,          1..=100_000 "failures";
    SLIPS                     = "findings" "slips":                  3,          0..=100 "failures";
    SPRAY_USERS               = "findings" "spray-users":            8,          2..=1_000 "users";
    LEARNING_DAYS             = "findings" "learning-days":          14,         1..=60 "days";
    ROAMING_NETWORKS          = "findings" "roaming-networks":       8,          1..=32 "networks";
    UNUSUAL_HOURS             = "findings" "unusual-hours":          3,          1..=11 "hours";
    VOLUME_FACTOR             = "findings" "volume-factor":          3,          2..=1_000 "times";
    VOLUME_BYTES_MIN          = "findings" "volume-bytes-min":       104_857_600, 0..=9_223_372_036_854_775_807 "bytes";
    MASS_CHANGES              = "findings" "mass-changes":           200,        2..=1_000_000 "changes";
    MASS_SUFFIX_CHANGES       = "findings" "mass-suffix-changes":    30,         2..=1_000_000 "changes";
    MASS_SECONDS              = "findings" "mass-seconds":           300,        1..=86_400 "seconds";
    DATA_REFUSALS             = "findings" "data-refusals":          10,         1..=100_000 "connections";
    RESUME_FAILURES           = "findings" "resume-failures":        5,          1..=100_000 "connections";
    CLEAR_TEXT_ATTEMPTS       = "findings" "clear-text-attempts":    5,          1..=100_000 "commands";
    UNUSED_DAYS               = "findings" "unused-days":            90,         1..=3_650 "days";
    ENDING_DAYS               = "findings" "ending-days":            30,         1..=3_650 "days";

    FILE_BYTES_MAX            = "rule" "file-bytes-max":             NONE,       1..=9_223_372_036_854_775_807 "bytes";

    USER_SESSIONS             = "user.NAME" "sessions":              NONE,       1..=100_000 "sessions";
    USER_SESSIONS_PER_ADDRESS = "user.NAME" "sessions-per-address":  NONE,       1..=100_000 "sessions";
    USER_TRANSFERS            = "user.NAME" "transfers":             NONE,       1..=100_000 "transfers";
    USER_UPLOAD_BYTES_PER_SECOND   = "user.NAME" "upload-bytes-per-second":   NONE, 1_024..=1_099_511_627_776 "bytes a second";
    USER_DOWNLOAD_BYTES_PER_SECOND = "user.NAME" "download-bytes-per-second": NONE, 1_024..=1_099_511_627_776 "bytes a second";
    QUOTA_BYTES               = "user.NAME" "quota-bytes":           NONE,       1..=9_223_372_036_854_775_807 "bytes";
    QUOTA_FILES               = "user.NAME" "quota-files":           NONE,       1..=9_223_372_036_854_775_807 "files";
}

/// A key that is no plain number of its table: what value it takes, and whether it has to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The key.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// Whether it has to be there.
    pub(super) required: bool,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false }
}

/// The same, of a key that has to be there.
const fn must(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true }
}

/// The files that have a schema: the name for it, the table of [`TABLES`] that stands for the file,
/// and what the file is for.
pub(super) const FILES: &[(&str, &str, &str)] = &[
    ("server", "server.toml", "The settings of the Portcullis server: sockets, certificates, networks, limits, logs."),
    ("users", "users.toml", "Who may log in to the Portcullis server, from where, to do what."),
    ("tests", "tests.toml", "What the policy of the Portcullis server is expected to decide."),
];

/// The tables and the keys in them, one a line; numbers of one table alone stand in [`NUMBERS`].
/// `server`, `users`, `changes` and `tests` stand for the files themselves; an exception has the same keys
/// wherever it stands. To add a key, add its line here and its row to `docs/policy.md`.
#[rustfmt::skip]
const TABLES: &[(&str, &[Key])] = &[
    ("server", &[
        must("listen", Table("listen")),
        key("process", Table("process")),
        must("tls", Table("tls")),
        must("passive", Table("passive")),
        key("active", Table("active")),
        must("networks", Table("networks")),
        key("exception", Tables("exception")),
        key("login", Table("login")),
        key("passwords", Table("passwords")),
        key("limits", Table("limits")),
        key("storage", Table("storage")),
        must("audit", Table("audit")),
        key("findings", Table("findings")),
        key("log", Table("log")),
        key("time", Table("time")),
        key("reload", Table("reload")),
        key("control", Table("control")),
        key("metrics", Table("metrics")),
    ]),
    ("listen", &[
        key("explicit", List(Shape::Socket)),
        key("implicit", List(Shape::Socket)),
        key("proxies", Tables("proxies")),
        key("reload-ports", List(Shape::Ports)),
    ]),
    ("proxies", &[
        must("from", Text(Shape::Network)),
        must("data", Word(&["header", "same-address", "direct"])),
    ]),
    ("process", &[
        key("user", Text(Shape::Any)),
        key("require-sandbox", Flag),
    ]),
    ("tls", &[
        must("identities", Tables("identities")),
        key("unknown-names", Word(&["default", "refuse"])),
        key("minimum", Word(&["1.2", "1.3"])),
        key("require-extended-master-secret", Flag),
        key("client-certificates", Word(&["off", "optional", "required"])),
        key("client-authorities", Text(Shape::Path)),
        key("client-revocations", List(Shape::Path)),
        key("data-binding", Word(&["session"])),
    ]),
    ("identities", &[
        must("names", List(Shape::Any)),
        must("certificate", Text(Shape::Path)),
        must("key", Text(Shape::Path)),
        key("ocsp", Text(Shape::Path)),
    ]),
    ("passive", &[
        must("ports", Text(Shape::Ports)),
        key("advertise", Tables("advertise")),
        key("resolvers", List(Shape::Any)),
    ]),
    ("advertise", &[
        must("clients", Text(Shape::Network)),
        key("address", Text(Shape::Ipv4)),
        key("name", Text(Shape::Any)),
    ]),
    ("active", &[
        key("enabled", Flag),
    ]),
    ("networks", &[
        must("allow", List(Shape::Network)),
        key("deny", List(Shape::Network)),
        key("allow-any", Flag),
        key("named", Lists(Shape::Network)),
    ]),
    ("exception", &[
        key("clients", Text(Shape::Network)),
        key("data-binding", Word(&["principal", "client-certificate", "address"])),
        key("tls-maximum", Word(&["1.2"])),
        key("path", Text(Shape::PathPattern)),
        key("allow", Permissions),
        must("reason", Text(Shape::Reason)),
        must("until", Date),
    ]),
    ("login", &[]),
    ("passwords", &[
        key("profile", Word(&["strict", "nist", "pci"])),
        key("banned", List(Shape::Banned)),
        key("changes", Text(Shape::Path)),
    ]),
    ("limits", &[]),
    ("storage", &[
        key("base-directories", List(Shape::AbsolutePath)),
        key("digest", Word(&["blake3", "sha256", "off"])),
        key("weak-hashes", Words(&["SHA-1", "MD5"])),
    ]),
    ("audit", &[
        must("directory", Text(Shape::Path)),
        key("sync", Word(&["group", "each"])),
        key("on-failure", Word(&["refuse"])),
        key("signing-key", Text(Shape::Path)),
        key("compress", Flag),
        key("stdout", Flag),
        key("journald", Flag),
        key("syslog", Tables("syslog")),
    ]),
    ("syslog", &[
        must("to", Text(Shape::Any)),
        key("ca", Text(Shape::Path)),
        key("server-name", Text(Shape::Any)),
        key("certificate", Text(Shape::Path)),
        key("key", Text(Shape::Path)),
        key("records", Word(&["all", "checkpoints"])),
        key("facility", Word(&["auth", "authpriv", "daemon", "audit", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"])),
    ]),
    ("findings", &[]),
    ("log", &[
        key("directory", Text(Shape::Path)),
        key("level", Word(&["error", "warn", "info", "debug", "trace"])),
    ]),
    ("time", &[
        key("zone", Text(Shape::Any)),
    ]),
    ("reload", &[
        key("on-change", Flag),
    ]),
    ("control", &[
        key("socket", Text(Shape::Path)),
    ]),
    ("metrics", &[
        key("listen", Text(Shape::Socket)),
        key("socket", Text(Shape::Path)),
        key("users", Flag),
    ]),
    ("users", &[
        key("user", Named("user.NAME")),
        key("group", Named("group.NAME")),
        key("folder", Named("folder.NAME")),
    ]),
    ("user.NAME", &[
        must("home", Text(Shape::AbsolutePath)),
        must("password", Text(Shape::Hash)),
        must("password-set", Date),
        key("groups", List(Shape::Name)),
        key("expires", Date),
        key("permissions", Permissions),
        key("allow-from", List(Shape::Network)),
        key("deny-from", List(Shape::Network)),
        key("enabled", Flag),
        key("exception", Tables("exception")),
        key("password-change", Flag),
        key("rule", Tables("rule")),
        key("mount", Tables("mount")),
        key("hours", List(Shape::Window)),
        key("second-factor", Word(&["none", "any", "totp", "certificate"])),
        key("certificates", List(Shape::Certificate)),
        key("certificate-alone", Flag),
        key("totp-secret", Text(Shape::Any)),
        key("password-temporary", Flag),
        key("password-history", List(Shape::Any)),
    ]),
    ("group.NAME", &[
        key("groups", List(Shape::Name)),
        key("permissions", Permissions),
        key("allow-from", List(Shape::Network)),
        key("deny-from", List(Shape::Network)),
        key("exception", Tables("exception")),
        key("password-change", Flag),
        key("rule", Tables("rule")),
        key("mount", Tables("mount")),
        key("hours", List(Shape::Window)),
        key("second-factor", Word(&["none", "any", "totp", "certificate"])),
        key("sessions", Count(&USER_SESSIONS)),
        key("sessions-per-address", Count(&USER_SESSIONS_PER_ADDRESS)),
        key("transfers", Count(&USER_TRANSFERS)),
        key("upload-bytes-per-second", Count(&USER_UPLOAD_BYTES_PER_SECOND)),
        key("download-bytes-per-second", Count(&USER_DOWNLOAD_BYTES_PER_SECOND)),
        key("quota-bytes", Count(&QUOTA_BYTES)),
        key("quota-files", Count(&QUOTA_FILES)),
    ]),
    ("rule", &[
        must("path", Text(Shape::PathPattern)),
        key("allow", Permissions),
        key("deny", Permissions),
        key("names-allowed", List(Shape::FileNames)),
        key("names-forbidden", List(Shape::FileNames)),
    ]),
    ("mount", &[
        must("path", Text(Shape::MountPoint)),
        must("folder", Text(Shape::Name)),
        must("permissions", Permissions),
    ]),
    ("folder.NAME", &[
        must("directory", Text(Shape::AbsolutePath)),
        key("quota-bytes", Count(&QUOTA_BYTES)),
        key("quota-files", Count(&QUOTA_FILES)),
    ]),
    ("changes", &[
        key("changed", Named("changed.NAME")),
    ]),
    ("changed.NAME", &[
        must("password", Text(Shape::Hash)),
        must("password-set", Date),
        must("replaces", Text(Shape::Any)),
        key("history", List(Shape::Any)),
        key("rehashed", Flag),
    ]),
    ("tests", &[
        key("test", Tables("test")),
    ]),
    ("test", &[
        key("name", Text(Shape::Any)),
        must("user", OneOrMore(Shape::Any)),
        key("from", OneOrMore(Shape::Address)),
        key("at", Moment),
        must("verb", OneOrMore(Shape::Any)),
        key("path", OneOrMore(Shape::TreePath)),
        must("expect", Word(&["allow", "deny"])),
        key("by", Text(Shape::Any)),
    ]),
];

/// The keys of a table, its own numbers last.
pub(super) fn keys_of(table: &str) -> impl Iterator<Item = Key> {
    let of_table = TABLES.iter().filter(move |(name, _)| *name == table).flat_map(|(_, keys)| keys.iter().copied());
    let numbers = NUMBERS.iter().filter(move |number| number.table == table);
    of_table.chain(numbers.map(|number| key(number.key, Count(number))))
}

/// The names of the keys that a table takes; none where it takes any (`named`, `user`, `group`).
pub(super) fn of_table(name: &str) -> Vec<&'static str> {
    keys_of(name).map(|key| key.name).collect()
}

/// The table that stands under names of the administrator's choice below a key, such as `user.NAME`.
pub(super) fn named_by(key: &str) -> Option<&'static str> {
    let keys = TABLES.iter().flat_map(|(_, keys)| *keys);
    keys.filter(|known| known.name == key).find_map(|known| match known.kind {
        Named(table) => Some(table),
        _ => None,
    })
}

/// The table of `server.toml` or a user that takes the key, in words.
pub(super) fn home_of(key: &str) -> Option<String> {
    let holds = |keys: &[Key], name: &str| keys.iter().any(|key| key.name == name);
    let named = TABLES.iter().skip(1).find(|(_, keys)| holds(keys, key)).map(|(table, _)| *table);
    let table = named.or_else(|| NUMBERS.iter().find(|number| number.key == key).map(|number| number.table))?;
    let list = TABLES.iter().find(|(outer, keys)| *outer != "server" && !outer.contains('.') && holds(keys, table));
    Some(list.map_or_else(|| format!("[{table}]"), |(outer, _)| format!("the tables of `{outer}.{table}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document's rows below the heading of a table: cells, trimmed.
    fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
        let section = document.split("\n## ").find(|part| part.starts_with(heading)).unwrap_or_default();
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        section.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
    }

    /// What the document says below `bounds` of keys of each kind that has words.
    fn words(kind: Kind) -> Option<String> {
        let quoted = |words: &[&str]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        match kind {
            Word(known) | Words(known) => Some(quoted(known)),
            Flag => Some("true, false".to_owned()),
            Date => Some("date".to_owned()),
            Count(number) => Some(format!("{} to {}", number.least, number.most)),
            Tables(_) | Table(_) | Named(_) | Text(_) | List(_) | OneOrMore(_) | Lists(_) | Moment | Permissions => {
                None
            }
        }
    }

    #[test]
    fn the_document_has_a_row_for_every_key_with_its_bounds() {
        let document = include_str!("../../docs/policy.md");
        for (table, _) in TABLES.iter().filter(|(table, _)| !["server", "users", "changes", "tests"].contains(table)) {
            let rows = rows(document, &format!("`[{table}]`"));
            let mut documented: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
            documented.sort_unstable();
            let mut known = of_table(table);
            known.sort_unstable();
            assert_eq!(documented, known, "the rows of [{table}] in docs/policy.md");
            for key in keys_of(table) {
                let row = rows.iter().find(|row| row[0] == format!("`{}`", key.name)).unwrap();
                assert_eq!(row[2] == "required", key.required, "[{table}] {}: {row:?}", key.name);
                assert_eq!(row[3], words(key.kind).unwrap_or_else(|| row[3].clone()), "[{table}] {}", key.name);
            }
        }
    }

    #[test]
    fn the_document_has_every_default() {
        let document = include_str!("../../docs/policy.md");
        for number in NUMBERS {
            let rows = rows(document, &format!("`[{}]`", number.table));
            let row = rows.iter().find(|row| row[0] == format!("`{}`", number.key)).unwrap();
            let default = if number.default == NONE { "none".to_owned() } else { number.default.to_string() };
            assert!(row[2].split(' ').next() == Some(&default), "{}: {row:?}", number.key);
        }
    }

    #[test]
    fn every_table_that_a_key_names_is_there() {
        let there = |name: &str| TABLES.iter().any(|(table, _)| *table == name);
        for (table, key) in TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (table, key))) {
            if let Table(inner) | Tables(inner) | Named(inner) = key.kind {
                assert!(there(inner), "[{table}] {} names [{inner}]", key.name);
            }
        }
        assert!(FILES.iter().all(|(name, ..)| there(name)));
    }
}
