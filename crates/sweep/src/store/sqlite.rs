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
    if !create && !may_be_written(path) {
        return open_unchanging(path).map_err(failed);
    }
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

/// The files beside a database that its readers share with its writers.
const SHARED: [&str; 2] = ["-wal", "-shm"];

/// Whether the folder of a file takes the files that even readers of a database need beside it.
fn may_be_written(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    rustix::fs::access(folder.unwrap_or(Path::new(".")), rustix::fs::Access::WRITE_OK).is_ok()
}

/// Opens a database in a folder that nothing can be written into, such as a mounted archive. Where
/// no log of a writer is left there, the file is read as one that does not change
/// (sqlite.org/uri.html, `immutable`).
fn open_unchanging(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let has_log = SHARED.iter().any(|ending| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        Path::new(&beside).exists()
    });
    if has_log {
        return Connection::open_with_flags(path, flags);
    }
    let letters = path.as_os_str().as_encoded_bytes().iter().map(|&byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02x}"),
    });
    let address = format!("file:{}?immutable=1", letters.collect::<String>());
    Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_URI)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_where_nothing_can_be_written_is_read_and_refuses_changes() {
        let folder = tempfile::tempdir().unwrap();
        // A name whose letters mean something in an address.
        let path = folder.path().join("a?b#c %41\u{E9}.db");
        let writer = connect(&path, true).unwrap();
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (5)").unwrap();
        let read = |reader: &Connection| {
            reader.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0))
        };
        // The writer's log is still there, and holds the row.
        assert_eq!(read(&open_unchanging(&path).unwrap()), Ok(5));
        drop(writer);
        let reader = open_unchanging(&path).unwrap();
        assert_eq!(read(&reader), Ok(5));
        let refused = reader.execute_batch("INSERT INTO t VALUES (6)").unwrap_err();
        assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::ReadOnly));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
