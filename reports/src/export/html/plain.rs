//! Tables of texts, with a row per target.

/// A table of texts.
pub struct PlainTable {
    pub title: String,
    /// The names of the columns behind the target's.
    pub columns: Vec<String>,
    pub rows: Vec<PlainRow>,
}

/// A target with its texts.
pub struct PlainRow {
    pub ink: String,
    pub name: String,
    /// A cell per column, each with what stands in small letters beside it.
    pub cells: Vec<(String, Option<String>)>,
}
