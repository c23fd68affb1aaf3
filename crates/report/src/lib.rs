//! Files and text for people: the metrics log of a run ([`metrics`]), the same as TensorBoard's
//! event files ([`tensorboard`]) and as a table ([`csv`]), aligned tables ([`table`]), those of
//! scores ([`scores`]), figures ([`figures`]), curves of one line ([`sparkline`]), a page of all of
//! them ([`page`]), a model's card ([`card`]), and numbers as text ([`format`](mod@format)). It
//! depends on no model and no training.
//!
//! ```
//! use report::format::grouped;
//! use report::{Align, Table};
//!
//! let mut table = Table::new([("model", Align::Left), ("parameters", Align::Right)]);
//! table.push(vec!["llama-58m".into(), grouped(58_343_936)]);
//! assert_eq!(
//!     table.to_markdown(),
//!     "| model     | parameters |\n| --------- | ---------: |\n| llama-58m | 58,343,936 |\n"
//! );
//! ```

#![warn(missing_docs)]

pub mod card;
pub mod csv;
pub mod decimate;
pub mod error;
pub mod figures;
pub mod format;
pub mod metrics;
pub mod page;
pub mod scores;
pub mod sparkline;
pub mod table;
pub mod tensorboard;

pub use error::ReportError;
pub use figures::Figure;
pub use metrics::MetricsLog;
pub use page::Page;
pub use scores::{ScoreTable, TableRow, closing_table, lettered, points};
pub use table::{Align, Best, Table};
pub use tensorboard::EventLog;
