//! A table of the report, the same in every form that it is written in.

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name in data: JSON, CSV, the addresses of the page.
    pub id: &'static str,
    /// What it shows.
    pub caption: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
    /// How many columns, from the first, say what a row is about.
    pub keys: usize,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// All that is in none of the rows, together.
    pub others: Option<Vec<Cell>>,
    /// What to know about the figures.
    pub note: Option<String>,
    /// A small picture for each row, for the page: figures over time.
    pub pictures: Option<Pictures>,
}

/// Small pictures, one for each row.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// What they show.
    pub title: &'static str,
    /// Whether it is something bad.
    pub bad: bool,
    /// For each row its figures.
    pub rows: Vec<Vec<u64>>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in data.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Whether it is drawn as a bar, too.
    pub bar: Option<Bar>,
}

/// What a bar stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Something good or neither.
    Plain,
    /// Something bad.
    Bad,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text of ours.
    Word(String),
    /// A text from the log, which is hostile.
    Text(String),
    /// A number of things.
    Count(u64),
    /// Of things that were not told apart beyond this many.
    AtLeast(u64),
    /// Bytes.
    Bytes(u64),
    /// A moment, in milliseconds since 1970.
    Time(i64),
    /// An interval: how people call it, and its beginning in seconds since 1970.
    Interval(String, i64),
    /// Further facts, name and value, from the log.
    Facts(Vec<(String, String)>),
}

impl Table {
    /// An empty table.
    pub(super) fn new(id: &'static str, caption: &'static str, keys: usize, columns: &[Column]) -> Self {
        Self {
            id,
            caption,
            columns: columns.to_vec(),
            keys,
            rows: Vec::new(),
            others: None,
            note: None,
            pictures: None,
        }
    }
}

impl Column {
    /// A column without bars.
    pub(super) const fn of(id: &'static str, title: &'static str) -> Self {
        Self { id, title, bar: None }
    }

    /// The same with bars.
    pub(super) const fn drawn(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }
}

impl Cell {
    /// A moment, if there was one.
    pub(super) fn time(time: Option<i64>) -> Self {
        time.map_or(Self::Empty, Self::Time)
    }

    /// A text from the log, if it says something.
    pub(super) fn text(text: &str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text.to_owned()) }
    }

    /// Whether it is a figure, which stands to the right.
    pub(super) fn is_figure(&self) -> bool {
        matches!(self, Self::Count(_) | Self::AtLeast(_) | Self::Bytes(_))
    }

    /// The figure it is.
    pub(super) fn figure(&self) -> Option<u64> {
        match self {
            Self::Count(figure) | Self::AtLeast(figure) | Self::Bytes(figure) => Some(*figure),
            _ => None,
        }
    }
}
