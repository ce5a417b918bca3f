//! Which tables a report has.

use super::series::{Series, Unit};
use super::summary::{Journal, Seen, Source, Summary, User};
use super::table::{Bar, Cell, Column, Pictures, Table};
use super::top::{Figures, Ranking, Top};
use super::words;

/// When it was first seen.
const FIRST: Column = Column::of("first_seen", "First seen");
/// When it was last seen.
const LAST: Column = Column::of("last_seen", "Last seen");

/// Addresses from which logins failed, most first.
pub fn guessing(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "failing_sources",
        "Addresses from which logins failed",
        1,
        &[
            Column::of("address", "Address"),
            Column::of("failed", "Failed logins").drawn(Bar::Bad),
            Column::of("guesses", "Wrong name, password or code"),
            Column::of("not_checked", "Not even checked"),
            Column::of("names", "Names tried"),
            Column::of("bans", "Bans"),
            Column::of("logins", "Logins that succeeded"),
            Column::of("first_failure", "First failure"),
            Column::of("last_failure", "Last failure"),
        ],
    );
    let ranking = summary.sources.ranked(most, Source::attempts);
    let row = |key: Cell, source: &Source| {
        let (first, last) = source.failing.span().unzip();
        vec![
            key,
            Cell::Count(source.attempts()),
            Cell::Count(source.guesses),
            Cell::Count(source.throttled),
            if source.names.is_full() {
                Cell::AtLeast(source.names.count())
            } else {
                Cell::Count(source.names.count())
            },
            Cell::Count(source.bans),
            Cell::Count(source.logins),
            Cell::time(first),
            Cell::time(last),
        ]
    };
    table.rows = ranking.named.iter().map(|(address, source)| row(Cell::Word(address.to_string()), source)).collect();
    table.others = others(&summary.sources, &ranking, Source::attempts, |key, rest| {
        let mut cells = row(key, rest);
        // Names that several tried would count twice.
        if let Some(names) = cells.get_mut(4) {
            *names = Cell::Empty;
        }
        cells
    });
    table.note = note(&ranking);
    let rows = ranking.named.iter().map(|(_, source)| {
        over_time(summary, |unit, span| {
            source
                .over_time
                .over(summary.calendar(), unit, span)
                .iter()
                .map(|interval| interval.figures.iter().sum())
                .collect()
        })
    });
    table.pictures = Some(Pictures { title: "Failures over time", bad: true, rows: rows.collect() });
    table
}

/// Networks, those that most came from first.
pub fn networks(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "networks",
        "Where connections came from: networks of 24 bits (IPv4) or 48 bits (IPv6)",
        1,
        &[
            Column::of("network", "Network"),
            Column::of("logins", "Logins").drawn(Bar::Plain),
            Column::of("failed", "Failed logins").drawn(Bar::Bad),
            Column::of("connections", "Connections taken"),
            Column::of("turned_away", "Turned away"),
            FIRST,
            LAST,
        ],
    );
    let ranking = summary.networks.ranked(most, Source::all);
    let row = |key: Cell, source: &Source| {
        let (first, last) = times(source.seen);
        let figures = [source.logins, source.attempts(), source.accepted, source.denied].map(Cell::Count);
        [key].into_iter().chain(figures).chain([first, last]).collect()
    };
    table.rows = ranking.named.iter().map(|(network, source)| row(Cell::Word(network.to_string()), source)).collect();
    table.others = others(&summary.networks, &ranking, Source::all, row);
    table.note = note(&ranking);
    table
}

/// Users that logged in, those that moved most first.
pub fn users(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "users",
        "Users: logins, and what they moved and changed",
        1,
        &[
            Column::of("user", "User"),
            Column::of("bytes_in", "Received").drawn(Bar::Plain),
            Column::of("bytes_out", "Sent").drawn(Bar::Plain),
            Column::of("uploads", "Uploads"),
            Column::of("downloads", "Downloads"),
            Column::of("logins", "Logins"),
            Column::of("failed", "Failed logins"),
            Column::of("removed", "Removed"),
            Column::of("renamed", "Renamed"),
            Column::of("denied", "Refused by policy"),
            LAST,
        ],
    );
    let wanted = |user: &User| if user.is_known() { user.bytes().saturating_add(1) } else { 0 };
    let ranking = summary.users.ranked(most, wanted);
    let row = |key: Cell, user: &User| {
        let counts =
            [user.uploads, user.downloads, user.logins, user.failures, user.removed, user.renamed, user.denied];
        let bytes = [user.bytes_in, user.bytes_out].map(Cell::Bytes);
        let last = Cell::time(user.seen.span().map(|(_, last)| last));
        [key].into_iter().chain(bytes).chain(counts.map(Cell::Count)).chain([last]).collect()
    };
    table.rows = ranking.named.iter().map(|(name, user)| row(Cell::text(name), user)).collect();
    table.others = others(&summary.users, &ranking, wanted, row);
    table.note = note(&ranking);
    let rows = ranking.named.iter().map(|(_, user)| {
        over_time(summary, |unit, span| {
            let intervals = user.over_time.over(summary.calendar(), unit, span);
            intervals.iter().map(|interval| interval.figures[1].saturating_add(interval.figures[3])).collect()
        })
    });
    table.pictures = Some(Pictures { title: "Bytes over time", bad: false, rows: rows.collect() });
    table
}

/// Names that logins failed for, most first.
pub fn names(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "failing_names",
        "Names that logins failed for, as they were claimed",
        1,
        &[
            Column::of("user", "Name"),
            Column::of("failed", "Failed logins").drawn(Bar::Bad),
            Column::of("logins", "Logins that succeeded"),
            FIRST,
            LAST,
        ],
    );
    let ranking = summary.users.ranked(most, |user| user.failures);
    let row = |key: Cell, user: &User| {
        let (first, last) = times(user.seen);
        vec![key, Cell::Count(user.failures), Cell::Count(user.logins), first, last]
    };
    table.rows = ranking.named.iter().map(|(name, user)| row(Cell::text(name), user)).collect();
    table.others = others(&summary.users, &ranking, |user| user.failures, row);
    table.note = note(&ranking);
    table
}

/// What each user moved in each day.
pub fn user_days(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "user_days",
        "What each user moved, by day",
        2,
        &[
            Column::of("day", "Day"),
            Column::of("user", "User"),
            Column::of("bytes_in", "Received").drawn(Bar::Plain),
            Column::of("bytes_out", "Sent").drawn(Bar::Plain),
            Column::of("uploads", "Uploads"),
            Column::of("downloads", "Downloads"),
        ],
    );
    let calendar = summary.calendar();
    // Long logs are kept by the month or year; then so for all.
    let units = summary.users.iter().map(|(_, user)| user.over_time.unit());
    let unit = units.chain([Unit::Day, summary.transfers.unit()]).max().unwrap_or(Unit::Day);
    let mut rest: std::collections::BTreeMap<i64, [u64; 4]> =
        summary.transfers.by(calendar, unit).intervals().map(|(start, figures)| (start, *figures)).collect();
    let mut found: Vec<(i64, &String, [u64; 4])> = Vec::new();
    for (name, user) in summary.users.iter() {
        found.extend(user.over_time.by(calendar, unit).intervals().map(|(start, figures)| (start, name, *figures)));
    }
    found.sort_by(|a, b| moved(&b.2).cmp(&moved(&a.2)).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
    found.truncate(most);
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| moved(&b.2).cmp(&moved(&a.2))).then_with(|| a.1.cmp(b.1)));
    let row = |day: Cell, name: Cell, [uploads, bytes_in, downloads, bytes_out]: [u64; 4]| {
        vec![day, name, Cell::Bytes(bytes_in), Cell::Bytes(bytes_out), Cell::Count(uploads), Cell::Count(downloads)]
    };
    for (start, name, figures) in found {
        let day = Cell::Interval(words::interval(calendar, unit, start), start);
        if let Some(rest) = rest.get_mut(&start) {
            for (rest, figure) in rest.iter_mut().zip(figures) {
                *rest = rest.saturating_sub(figure);
            }
        }
        table.rows.push(row(day, Cell::text(name), figures));
    }
    let rest = rest.into_values().fold([0_u64; 4], |mut sum, figures| {
        sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum = sum.saturating_add(figure));
        sum
    });
    if moved(&rest) > (0, 0) {
        table.others = Some(row(Cell::Empty, Cell::Word("all others".to_owned()), rest));
    }
    table
}

/// Logins over time.
pub fn logins_over_time(summary: &Summary) -> Table {
    let table = Table::new(
        "logins_over_time",
        "Logins over time",
        1,
        &[
            Column::of("from", "From"),
            Column::of("logins", "Logins"),
            Column::of("failed", "Failed logins"),
            Column::of("not_checked", "Not even checked"),
        ],
    );
    intervals(table, summary, &summary.logins, |figures| figures.map(Cell::Count))
}

/// Transfers over time.
pub fn transfers_over_time(summary: &Summary) -> Table {
    let table = Table::new(
        "transfers_over_time",
        "Transfers over time",
        1,
        &[
            Column::of("from", "From"),
            Column::of("uploads", "Uploads"),
            Column::of("bytes_in", "Received"),
            Column::of("downloads", "Downloads"),
            Column::of("bytes_out", "Sent"),
        ],
    );
    intervals(table, summary, &summary.transfers, |[uploads, bytes_in, downloads, bytes_out]| {
        [Cell::Count(uploads), Cell::Bytes(bytes_in), Cell::Count(downloads), Cell::Bytes(bytes_out)]
    })
}

/// A row for each interval that something happened in.
fn intervals<const N: usize>(
    mut table: Table,
    summary: &Summary,
    series: &Series<N>,
    cells: impl Fn([u64; N]) -> [Cell; N],
) -> Table {
    let (calendar, unit) = (summary.calendar(), summary.unit());
    for interval in series.over(calendar, unit, summary.drawn()) {
        if interval.figures != [0; N] {
            let key = Cell::Interval(words::interval(calendar, unit, interval.start), interval.start);
            table.rows.push([key].into_iter().chain(cells(interval.figures)).collect());
        }
    }
    table
}

/// What was refused.
pub fn refusals(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "refusals",
        "What was refused or failed, by reason",
        2,
        &[
            Column::of("event", "Event"),
            Column::of("reason", "Reason"),
            Column::of("count", "How often").drawn(Bar::Bad),
            FIRST,
            LAST,
        ],
    );
    let ranking = summary.refusals.ranked(most, |reason| reason.count);
    for ((event, reason), figures) in &ranking.named {
        let (first, last) = times(figures.seen);
        table.rows.push(vec![Cell::text(event), Cell::text(reason), Cell::Count(figures.count), first, last]);
    }
    table.others = others(
        &summary.refusals,
        &ranking,
        |reason| reason.count,
        |key, figures| {
            let (first, last) = times(figures.seen);
            vec![key, Cell::Empty, Cell::Count(figures.count), first, last]
        },
    );
    table.note = note(&ranking);
    table
}

/// TLS as negotiated on control connections.
pub fn suites(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "tls",
        "TLS on control connections",
        3,
        &[
            Column::of("version", "Version"),
            Column::of("cipher", "Cipher suite"),
            Column::of("key_exchange", "Key exchange"),
            Column::of("handshakes", "Handshakes").drawn(Bar::Plain),
            Column::of("resumed", "Resumed"),
            LAST,
        ],
    );
    let ranking = summary.suites.ranked(most, |suite| suite.handshakes);
    for ((version, cipher, group), suite) in &ranking.named {
        let mut cells: Vec<Cell> = [version, cipher, group].map(|text| Cell::text(text)).to_vec();
        cells.extend([Cell::Count(suite.handshakes), Cell::Count(suite.resumed), times(suite.seen).1]);
        table.rows.push(cells);
    }
    table.others = others(
        &summary.suites,
        &ranking,
        |suite| suite.handshakes,
        |key, suite| {
            let last = times(suite.seen).1;
            vec![key, Cell::Empty, Cell::Empty, Cell::Count(suite.handshakes), Cell::Count(suite.resumed), last]
        },
    );
    table
}

/// Client programs.
pub fn clients(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "clients",
        "Client programs, by their own words",
        1,
        &[
            Column::of("client", "Program"),
            Column::of("logins", "Logins").drawn(Bar::Plain),
            Column::of("failed", "Failed logins"),
            Column::of("unbound", "Data connections not bound"),
            FIRST,
            LAST,
        ],
    );
    let ranking = summary.clients.ranked(most, Figures::weight);
    let row = |key: Cell, client: &super::summary::Client| {
        let (first, last) = times(client.seen);
        [key]
            .into_iter()
            .chain([client.logins, client.failures, client.unbound].map(Cell::Count))
            .chain([first, last])
            .collect()
    };
    for (name, client) in &ranking.named {
        let name = if name.is_empty() { Cell::Word("did not say".to_owned()) } else { Cell::text(name) };
        table.rows.push(row(name, client));
    }
    table.others = others(&summary.clients, &ranking, Figures::weight, row);
    table
}

/// Records by event.
pub fn events(summary: &Summary, most: usize) -> Table {
    let mut table = Table::new(
        "events",
        "Records by event",
        1,
        &[
            Column::of("event", "Event"),
            Column::of("records", "Records").drawn(Bar::Plain),
            Column::of("failed", "Not as asked"),
            FIRST,
            LAST,
        ],
    );
    let ranking = summary.events.ranked(most, |event| event.records);
    let row = |key: Cell, event: &super::summary::Recorded| {
        let (first, last) = times(event.seen);
        vec![key, Cell::Count(event.records), Cell::Count(event.failed), first, last]
    };
    table.rows = ranking.named.iter().map(|(name, event)| row(Cell::text(name), event)).collect();
    table.others = others(&summary.events, &ranking, |event| event.records, row);
    table
}

/// The records of a subject, the newest first.
pub fn journal(id: &'static str, caption: &'static str, journal: &Journal, most: usize) -> Table {
    let mut table = Table::new(
        id,
        caption,
        1,
        &[
            Column::of("record", "Record"),
            Column::of("time", "Time"),
            Column::of("event", "Event"),
            Column::of("reason", "Refused or failed because"),
            Column::of("facts", "What it says"),
        ],
    );
    for note in journal.notes.iter().rev().take(most) {
        table.rows.push(vec![
            Cell::Word(note.seq.to_string()),
            Cell::Time(note.time),
            Cell::text(&note.event),
            Cell::text(&note.reason),
            Cell::Facts(note.facts.clone()),
        ]);
    }
    let shown = u64::try_from(table.rows.len()).unwrap_or(u64::MAX);
    let earlier = journal.count.saturating_sub(shown);
    if earlier > 0 {
        table.note = Some(format!("{} are not shown.", words::many(earlier, "earlier record", "earlier records")));
    }
    table
}

/// Every table, with that many rows at most.
pub fn all(summary: &Summary, most: usize) -> Vec<Table> {
    let journals = &summary.journals;
    vec![
        guessing(summary, most),
        names(summary, most),
        logins_over_time(summary),
        transfers_over_time(summary),
        users(summary, most),
        user_days(summary, most),
        networks(summary, most),
        refusals(summary, most),
        suites(summary, most),
        clients(summary, most),
        journal("policy", "Changes of the policy", &journals.policy, most),
        journal("control", "What administrators asked of the running server", &journals.control, most),
        journal("certificates", "Certificates", &journals.certificates, most),
        journal("quotas", "Quotas and room on the disks", &journals.quotas, most),
        journal("service", "Starts and stops", &journals.service, most),
        journal("log", "What the log tells about itself", &journals.log, most),
        events(summary, most),
    ]
}

fn moved([uploads, bytes_in, downloads, bytes_out]: &[u64; 4]) -> (u64, u64) {
    (bytes_in.saturating_add(*bytes_out), uploads.saturating_add(*downloads))
}

fn times(seen: Seen) -> (Cell, Cell) {
    let (first, last) = seen.span().unzip();
    (Cell::time(first), Cell::time(last))
}

fn over_time(summary: &Summary, draw: impl FnOnce(Unit, (i64, i64)) -> Vec<u64>) -> Vec<u64> {
    draw(summary.unit(), summary.drawn())
}

/// The row of all that is in none of the rows; none where there is nothing.
fn others<K: std::hash::Hash + Eq + Ord, F: Figures + Clone>(
    top: &Top<K, F>,
    ranking: &Ranking<'_, K, F>,
    wanted: impl Fn(&F) -> u64,
    row: impl FnOnce(Cell, &F) -> Vec<Cell>,
) -> Option<Vec<Cell>> {
    let mut rest = F::default();
    rest.absorb(top.others().clone());
    let shown: std::collections::HashSet<&K> = ranking.named.iter().map(|(name, _)| *name).collect();
    for (_, figures) in top.iter().filter(|(name, figures)| wanted(figures) > 0 && !shown.contains(name)) {
        rest.absorb(figures.clone());
    }
    let at_most = if ranking.exact { "" } else { "at most " };
    let label = format!("{at_most}{}", words::many(ranking.more, "other", "others"));
    (wanted(&rest) > 0).then(|| row(Cell::Word(label), &rest))
}

/// What to know where there were too many names to keep each.
fn note<K, F>(ranking: &Ranking<'_, K, F>) -> Option<String> {
    (!ranking.exact).then(|| {
        "There were more names than are kept apart: what was seen rarely is in the last row, also the \
         earlier figures of a name that was rare at first. The sums are exact."
            .to_owned()
    })
}
