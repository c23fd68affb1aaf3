//! What a run leaves for people to read: its metrics log, tables, and numbers in words; and the
//! scores that the papers print. It knows nothing of models or training.

pub mod error;
pub mod format;
pub mod metrics;
pub mod reference;
pub mod table;

pub use error::ReportError;
pub use metrics::MetricsLog;
pub use table::{Align, Table, TableRow, closing_table};
