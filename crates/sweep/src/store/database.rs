//! What the store asks of a database: statements with parameters `$1`, `$2`, and transactions.

use super::error::StoreError;
use super::value::{Row, Value};

/// Which SQL a database takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Begins a transaction that may write.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// The time now in UTC, as a value of a column of times.
    pub(super) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
            Self::Postgres => "(clock_timestamp() AT TIME ZONE 'UTC')",
        }
    }

    /// Seconds since 1970 on the database's clock.
    pub(super) fn epoch(self) -> &'static str {
        match self {
            Self::Sqlite => "unixepoch('subsec')",
            Self::Postgres => "CAST(extract(epoch from clock_timestamp()) AS DOUBLE PRECISION)",
        }
    }

    /// What follows a SELECT whose rows stay locked to the end of the transaction. SQLite locks the
    /// whole file.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }
}

/// A connection.
pub(super) trait Database: Send {
    /// Which SQL it takes.
    fn dialect(&self) -> Dialect;

    /// Runs one statement with its parameters and returns the rows of its answer.
    ///
    /// # Errors
    /// When the statement fails.
    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError>;

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// When one fails.
    fn batch(&mut self, sql: &str) -> Result<(), StoreError>;

    /// Names and columns of the tables that are there, in the order of the schema.
    ///
    /// # Errors
    /// When they cannot be read.
    fn columns(&mut self) -> Result<Vec<(String, Vec<String>)>, StoreError>;

    /// Connects again after the connection was lost.
    ///
    /// # Errors
    /// When there is no connection.
    fn reconnect(&mut self) -> Result<(), StoreError>;
}

/// Rows of a table's name and a column's, in the order of the tables, by table.
///
/// # Errors
/// When a name is no text.
pub(super) fn by_table(rows: Vec<Row>) -> Result<Vec<(String, Vec<String>)>, StoreError> {
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for mut row in rows {
        let (table, column) = (row.text()?, row.text()?);
        match tables.last_mut() {
            Some((last, columns)) if *last == table => columns.push(column),
            _ => tables.push((table, vec![column])),
        }
    }
    Ok(tables)
}

/// Does work in one transaction, which an error takes back.
///
/// # Errors
/// The error of the work, or of the database.
pub(super) fn transaction<T, E: From<StoreError>>(
    database: &mut dyn Database,
    work: impl FnOnce(&mut dyn Database) -> Result<T, E>,
) -> Result<T, E> {
    database.batch(database.dialect().begin())?;
    match work(database) {
        Ok(done) => {
            database.batch("COMMIT")?;
            Ok(done)
        }
        Err(error) => {
            // The error that ended the work is the one that matters.
            let _ = database.batch("ROLLBACK");
            Err(error)
        }
    }
}
