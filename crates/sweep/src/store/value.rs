//! Values of a database, whichever it is.

use super::error::StoreError;

/// A value that goes into a statement or comes out of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text; also times, as `YYYY-MM-DD HH:MM:SS.ffffff`, and names of states.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer, read from the left.
#[derive(Debug)]
pub(super) struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row with these values.
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    /// All values that were not read yet.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.0.collect()
    }

    fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Null)
    }

    /// The next value, which is a whole number.
    ///
    /// # Errors
    /// When it is another.
    pub(super) fn integer(&mut self) -> Result<i64, StoreError> {
        match self.next() {
            Value::Integer(value) => Ok(value),
            other => Err(unexpected("a whole number", &other)),
        }
    }

    /// The next value, which is a number or missing.
    ///
    /// # Errors
    /// When it is text.
    pub(super) fn real(&mut self) -> Result<Option<f64>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Real(value) => Ok(Some(value)),
            Value::Integer(value) => Ok(Some(value as f64)),
            other => Err(unexpected("a number", &other)),
        }
    }

    /// The next value, which is text.
    ///
    /// # Errors
    /// When it is another.
    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        match self.next() {
            Value::Text(value) => Ok(value),
            other => Err(unexpected("text", &other)),
        }
    }

    /// The next value, which is text or missing.
    ///
    /// # Errors
    /// When it is a number.
    pub(super) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            other => Err(unexpected("text", &other)),
        }
    }
}

fn unexpected(wanted: &'static str, found: &Value) -> StoreError {
    StoreError::Unexpected { wanted, found: format!("{found:?}") }
}
