//! A store in PostgreSQL.
//!
//! The session's time zone stays as the server has it: heartbeats are compared in that zone.

use std::error::Error;

use postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use postgres::{Client, NoTls};

use super::database::{Database, Dialect, by_table};
use super::error::StoreError;
use super::value::{Row, Value};
use super::without_password;

/// A connection to PostgreSQL.
pub(super) struct Postgres {
    /// The address with its password, if it has one.
    address: String,
    client: Client,
}

impl Postgres {
    /// Connects; a password comes from the address or from PGPASSWORD.
    ///
    /// # Errors
    /// When there is no server, or it refuses.
    pub(super) fn open(address: &str) -> Result<Self, StoreError> {
        Ok(Self { address: address.to_owned(), client: connect(address)? })
    }

    fn failed(&self) -> impl Fn(postgres::Error) -> StoreError + use<> {
        let place = without_password(&self.address);
        move |source| failure(&place, source)
    }
}

fn failure(place: &str, source: postgres::Error) -> StoreError {
    // The error's own text names only the kind; the reason is the server's.
    let reason = match (source.as_db_error(), source.source()) {
        (Some(server), _) => server.message().to_owned(),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => source.to_string(),
    };
    // Classes of SQLSTATE: 08, connections; 57, the server's operator.
    let may_pass = source.as_db_error().is_none_or(|error| {
        let code = error.code().code();
        code.starts_with("08") || code.starts_with("57")
    });
    StoreError::Postgres { place: place.to_owned(), reason, may_pass, source: source.into() }
}

fn connect(address: &str) -> Result<Client, StoreError> {
    let place = without_password(address);
    let config = address.parse::<postgres::Config>();
    let mut config = config.map_err(|source| failure(&place, source))?;
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    config.application_name("babyllama");
    config.connect(NoTls).map_err(|source| failure(&place, source))
}

impl Database for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError> {
        let failed = self.failed();
        let bound: Vec<Bound<'_>> = parameters.iter().map(Bound).collect();
        let bound: Vec<&(dyn ToSql + Sync)> =
            bound.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let mut found = Vec::new();
        for row in self.client.query(sql, &bound).map_err(&failed)? {
            let values = (0..row.len()).map(|column| row.try_get::<_, Found>(column));
            let values = values.map(|value| value.map(|Found(value)| value));
            found.push(Row::new(values.collect::<Result<_, _>>().map_err(&failed)?));
        }
        Ok(found)
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let failed = self.failed();
        self.client.batch_execute(sql).map_err(failed)
    }

    fn columns(&mut self) -> Result<Vec<(String, Vec<String>)>, StoreError> {
        let sql = "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM \
                   information_schema.columns WHERE table_schema = current_schema() ORDER BY \
                   table_name, ordinal_position";
        by_table(self.query(sql, &[])?)
    }

    fn reconnect(&mut self) -> Result<(), StoreError> {
        self.client = connect(&self.address)?;
        Ok(())
    }
}

/// A value as a parameter of whatever type the statement has there.
#[derive(Debug)]
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self.0, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(value), &Type::INT8) => value.to_sql(kind, out),
            (Value::Integer(value), &Type::FLOAT8) => (*value as f64).to_sql(kind, out),
            (Value::Integer(value), _) => i32::try_from(*value)?.to_sql(&Type::INT4, out),
            (Value::Real(value), _) => value.to_sql(&Type::FLOAT8, out),
            // The binary form of an enumerated value is its name.
            (Value::Text(value), _) => value.to_sql(&Type::TEXT, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        let simple = [Type::INT4, Type::INT8, Type::FLOAT8, Type::TEXT, Type::VARCHAR];
        simple.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
    }

    to_sql_checked!();
}

/// A value out of a row, whatever its type.
struct Found(Value);

impl<'a> FromSql<'a> for Found {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            _ => Value::Text(std::str::from_utf8(raw)?.to_owned()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        let simple = [Type::INT4, Type::INT8, Type::FLOAT8, Type::TEXT, Type::VARCHAR];
        simple.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
    }
}
