//! One HTML page that has everything in itself: text, tables, figures, and curves that zoom.
//!
//! A [`Page`] is filled by the caller and written by [`Page::to_html`]. Every text of it may come
//! from a file of others: it is escaped, and control characters are shown as such. Only the SVG of
//! a [`Figure`] is taken as it is.
//!
//! ```
//! use report::page::{Block, Page, Section};
//!
//! let blocks = vec![Block::Text("Two models, <one> seed each.".into())];
//! let sections = vec![Section { title: "Models".into(), blocks }];
//! let page = Page { title: "runs/quickstart".into(), subtitle: String::new(), sections };
//! assert!(page.to_html().contains("Two models, &lt;one&gt; seed each."));
//! ```

mod curves;
mod html;

pub use curves::{Axis, Curves, Series};

use crate::figures::file_stem;
use crate::{Figure, Table};

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// What it is about, such as the run's name.
    pub title: String,
    /// A line below the title; may be empty.
    pub subtitle: String,
    /// Its parts, which the contents at its top list.
    pub sections: Vec<Section>,
}

/// A part of a page under a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What it has, in order; a section without any is left out.
    pub blocks: Vec<Block>,
}

/// One thing on a page.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// What is not there, and why.
    Missing {
        /// What a reader would look for, such as `scores of student`.
        what: String,
        /// Why it is not there, and what would bring it.
        why: String,
    },
    /// A table with a caption, which may be empty.
    Table {
        /// What it has.
        caption: String,
        /// The table.
        table: Table,
    },
    /// A figure, with buttons that save it as SVG and its rows as CSV.
    Figure(Figure),
    /// Curves that can be zoomed; their SVG where scripts are off.
    Curves(Curves),
    /// Text as it was written, such as a recipe, closed until a reader opens it.
    Pre {
        /// The line that opens it.
        title: String,
        /// The text.
        text: String,
    },
    /// Texts that models wrote.
    Samples(Vec<Sample>),
}

/// A text that a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The model.
    pub model: String,
    /// What it was given.
    pub prompt: String,
    /// How it went on.
    pub text: String,
}

impl Page {
    /// The page as HTML that needs nothing else: style, scripts, figures and data are in it, and no
    /// address is asked for anything.
    pub fn to_html(&self) -> String {
        html::write(self, None)
    }

    /// The page for a server of this machine: its curves are those that `address`, a path on
    /// that server, returns as [`Page::curves_json`], asked for every few seconds.
    pub fn to_html_following(&self, address: &str) -> String {
        html::write(self, Some(address))
    }

    /// The page without the points of its curves: what a page that follows a server takes of
    /// it beside [`Page::curves_json`].
    pub fn without_points(&self) -> Self {
        let mut page = self.clone();
        let blocks = page.sections.iter_mut().flat_map(|section| &mut section.blocks);
        for block in blocks {
            if let Block::Curves(curves) = block {
                (curves.series, curves.figure) = (Vec::new(), None);
            }
        }
        page
    }

    /// All curves as JSON, by the stems of their titles.
    pub fn curves_json(&self) -> String {
        let curves = self.blocks().filter_map(|block| match block {
            Block::Curves(curves) => Some((file_stem(&curves.title), curves.to_value())),
            _ => None,
        });
        serde_json::Value::Object(curves.collect()).to_string()
    }

    /// All figures, those of curves included, for files of their own.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.blocks().filter_map(|block| match block {
            Block::Figure(figure) => Some(figure),
            Block::Curves(curves) => curves.figure.as_ref(),
            _ => None,
        })
    }

    /// All tables with names for files of their own: the first sentence of the caption, or the
    /// heading.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.sections.iter().flat_map(|section| {
            section.blocks.iter().filter_map(|block| match block {
                Block::Table { caption, table } => {
                    let first = caption.split(". ").next().unwrap_or_default();
                    Some((if first.is_empty() { &section.title } else { first }, table))
                }
                _ => None,
            })
        })
    }

    /// All blocks, in order.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.sections.iter().flat_map(|section| &section.blocks)
    }
}
