//! A store in a SQLite file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};

use super::database::{Database, Dialect, by_table};
use super::error::StoreError;
use super::value::{Row, Value};

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(60);

/// A connection to a SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

impl Sqlite {
    /// Opens a file, and makes it where `create` is set.
    ///
    /// # Errors
    /// When it is missing, is no database, or is on a network file system.
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        if !create && !path.exists() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        require_local(path)?;
        let connection = connect(path, create)?;
        Ok(Self { path: path.to_owned(), connection })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |source| StoreError::Sqlite { path: path.clone(), source }
    }
}

fn connect(path: &Path, create: bool) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Sqlite { path: path.to_owned(), source };
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // Of a file that can only be read, the journal cannot be changed, and need not be.
    let _ = connection.pragma_update(None, "journal_mode", "WAL");
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    Ok(connection)
}

impl Database for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError> {
        let failed = self.failed();
        let sql = sql.replace('$', "?");
        let mut statement = self.connection.prepare_cached(&sql).map_err(&failed)?;
        let width = statement.column_count();
        let mut rows = statement
            .query(rusqlite::params_from_iter(parameters.iter().map(Bound)))
            .map_err(&failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let values = (0..width).map(|column| Ok(value(row.get_ref(column)?)));
            found.push(Row::new(values.collect::<rusqlite::Result<_>>().map_err(&failed)?));
        }
        Ok(found)
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(self.failed())
    }

    fn columns(&mut self) -> Result<Vec<(String, Vec<String>)>, StoreError> {
        let sql = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c \
                   WHERE m.type = 'table' ORDER BY m.name, c.cid";
        by_table(self.query(sql, &[])?)
    }

    fn reconnect(&mut self) -> Result<(), StoreError> {
        self.connection = connect(&self.path, false)?;
        Ok(())
    }
}

/// A value as a parameter.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// Refuses file systems on which SQLite's locks are known to fail (sqlite.org/lockingv3, "How To
/// Corrupt").
#[cfg(target_os = "linux")]
fn require_local(path: &Path) -> Result<(), StoreError> {
    // Magic numbers of statfs(2).
    const NETWORK: [(u64, &str); 7] = [
        (0x6969, "nfs"),
        (0x517B, "smb"),
        (0xFE53_4D42, "smb2"),
        (0xFF53_4D42, "cifs"),
        (0x0BD0_0BD0, "lustre"),
        (0x4750_4653, "gpfs"),
        (0x00C3_6400, "ceph"),
    ];
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(found) = rustix::fs::statfs(folder.unwrap_or(Path::new("."))) else { return Ok(()) };
    let magic = found.f_type as u64 & 0xFFFF_FFFF;
    match NETWORK.into_iter().find(|(known, _)| *known == magic) {
        Some((_, kind)) => Err(StoreError::NetworkFileSystem { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn require_local(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}
