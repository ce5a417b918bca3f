//! Every key of the policy files: which table takes it, and for numbers the default and bounds.
//! `docs/policy.md` has a row for each, which a test compares with these tables.

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
const NONE: u64 = u64::MAX;

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

    CHARACTERS_MIN            = "passwords" "characters-min":        15,         8..=128 "characters";
    SCORE_MIN                 = "passwords" "score-min":             3,          0..=4 "(the scale of zxcvbn)";
    AGE_DAYS_MAX              = "passwords" "age-days-max":          180,        1..=3_650 "days";
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

    RESOLVE_SECONDS           = "passive" "resolve-seconds":         60,         1..=86_400 "seconds";

    FREE_SPACE_FLOOR_BYTES    = "storage" "free-space-floor-bytes":  67_108_864, 0..=9_223_372_036_854_775_807 "bytes";
    PARTIAL_UPLOADS_HOURS     = "storage" "partial-uploads-hours":   24,         0..=8_760 "hours";

    FILE_BYTES_MAX            = "rule" "file-bytes-max":             NONE,       1..=9_223_372_036_854_775_807 "bytes";

    USER_SESSIONS             = "user.NAME" "sessions":              NONE,       1..=100_000 "sessions";
    USER_SESSIONS_PER_ADDRESS = "user.NAME" "sessions-per-address":  NONE,       1..=100_000 "sessions";
    USER_TRANSFERS            = "user.NAME" "transfers":             NONE,       1..=100_000 "transfers";
    USER_UPLOAD_BYTES_PER_SECOND   = "user.NAME" "upload-bytes-per-second":   NONE, 1_024..=1_099_511_627_776 "bytes a second";
    USER_DOWNLOAD_BYTES_PER_SECOND = "user.NAME" "download-bytes-per-second": NONE, 1_024..=1_099_511_627_776 "bytes a second";
    QUOTA_BYTES               = "user.NAME" "quota-bytes":           NONE,       1..=9_223_372_036_854_775_807 "bytes";
    QUOTA_FILES               = "user.NAME" "quota-files":           NONE,       1..=9_223_372_036_854_775_807 "files";
}

/// The tables and the keys in them that are no numbers. `server`, `users` and `changes` stand for
/// the files themselves; an exception has the same keys wherever it stands.
const TABLES: &[(&str, &[&str])] = &[
    (
        "server",
        &[
            "listen",
            "process",
            "tls",
            "passive",
            "active",
            "networks",
            "exception",
            "login",
            "passwords",
            "limits",
            "storage",
            "audit",
            "log",
            "time",
            "reload",
            "control",
        ],
    ),
    ("listen", &["explicit", "implicit", "proxies", "reload-ports"]),
    ("proxies", &["from", "data"]),
    ("process", &["user", "require-sandbox"]),
    (
        "tls",
        &[
            "identities",
            "unknown-names",
            "minimum",
            "require-extended-master-secret",
            "client-certificates",
            "data-binding",
        ],
    ),
    ("identities", &["names", "certificate", "key"]),
    ("passive", &["ports", "advertise", "resolvers"]),
    ("advertise", &["clients", "address", "name"]),
    ("active", &["enabled"]),
    ("networks", &["allow", "deny", "allow-any", "named"]),
    ("exception", &["clients", "data-binding", "tls-maximum", "path", "allow", "reason", "until"]),
    ("login", &[]),
    ("passwords", &["profile", "banned", "changes"]),
    ("limits", &[]),
    ("storage", &["base-directories", "digest", "weak-hashes"]),
    ("audit", &["directory", "sync", "on-failure"]),
    ("log", &["directory", "level"]),
    ("time", &["zone"]),
    ("reload", &["on-change"]),
    ("control", &["socket"]),
    ("users", &["user", "group", "folder"]),
    (
        "user.NAME",
        &[
            "home",
            "password",
            "password-set",
            "groups",
            "expires",
            "permissions",
            "allow-from",
            "deny-from",
            "enabled",
            "exception",
            "password-change",
            "rule",
            "mount",
            "hours",
            "second-factor",
            "certificates",
            "certificate-alone",
            "totp-secret",
            "password-temporary",
        ],
    ),
    (
        "group.NAME",
        &[
            "groups",
            "permissions",
            "allow-from",
            "deny-from",
            "exception",
            "password-change",
            "rule",
            "mount",
            "hours",
            "second-factor",
            "sessions",
            "sessions-per-address",
            "transfers",
            "upload-bytes-per-second",
            "download-bytes-per-second",
            "quota-bytes",
            "quota-files",
        ],
    ),
    ("rule", &["path", "allow", "deny", "names-allowed", "names-forbidden"]),
    ("mount", &["path", "folder", "permissions"]),
    ("folder.NAME", &["directory", "quota-bytes", "quota-files"]),
    ("changes", &["changed"]),
    ("changed.NAME", &["password", "password-set", "replaces"]),
];

/// The keys that a table takes; none where it takes any (`named`, `user`, `group`).
pub(super) fn of_table(name: &str) -> Vec<&'static str> {
    let words = TABLES.iter().filter(|(table, _)| *table == name).flat_map(|(_, keys)| keys.iter().copied());
    words.chain(NUMBERS.iter().filter(|number| number.table == name).map(|number| number.key)).collect()
}

/// The table of `server.toml` or a user that takes the key, in words.
pub(super) fn home_of(key: &str) -> Option<String> {
    let named = TABLES.iter().skip(1).find(|(_, keys)| keys.contains(&key)).map(|(table, _)| *table);
    let table = named.or_else(|| NUMBERS.iter().find(|number| number.key == key).map(|number| number.table))?;
    let list = TABLES.iter().find(|(outer, keys)| *outer != "server" && !outer.contains('.') && keys.contains(&table));
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

    #[test]
    fn the_document_has_a_row_for_every_key() {
        let document = include_str!("../../docs/policy.md");
        for (table, _) in TABLES.iter().filter(|(table, _)| !["server", "users", "changes"].contains(table)) {
            let rows = rows(document, &format!("`[{table}]`"));
            let documented: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
            let mut known = of_table(table);
            known.sort_unstable();
            let mut sorted = documented.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, known, "the rows of [{table}] in docs/policy.md");
        }
    }

    #[test]
    fn the_document_has_every_default_and_bound() {
        let document = include_str!("../../docs/policy.md");
        for number in NUMBERS {
            let rows = rows(document, &format!("`[{}]`", number.table));
            let row = rows.iter().find(|row| row[0] == format!("`{}`", number.key)).unwrap();
            let default = if number.default == NONE { "none".to_owned() } else { number.default.to_string() };
            assert!(row[2].split(' ').next() == Some(&default), "{}: {row:?}", number.key);
            assert_eq!(row[3], format!("{} to {}", number.least, number.most), "{}", number.key);
        }
    }
}
