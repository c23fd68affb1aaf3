//! Figures: functions of rows to SVG. Each figure keeps the rows that it was drawn from, so that
//! others can draw them in their own way.

/// One drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The stem of its files: lower-case ASCII letters, digits and hyphens.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What a reader needs to know to read it; empty where the title suffices.
    pub caption: String,
    /// The drawing. Its ink is `currentColor` and its background transparent, so that a page can
    /// show it in its own colors.
    pub svg: String,
    /// The names of the columns of `rows`.
    pub columns: Vec<String>,
    /// What was drawn.
    pub rows: Vec<Vec<String>>,
}
