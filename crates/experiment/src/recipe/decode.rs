//! Reads TOML values into serde types. Unlike those of toml's own deserializer, its faults are
//! typed and carry the full dotted key, so that one message serves a value from the file and the
//! same value from an override.

use std::fmt::Display;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

use super::error::{Fault, suggestion};

/// Reads a whole document.
pub(super) fn decode<T: DeserializeOwned>(table: &Table) -> Result<T, Fault> {
    T::deserialize(Root(table))
}

impl Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Fault::invalid("", message.to_string())
    }

    fn invalid_type(found: Unexpected, expected: &dyn Expected) -> Self {
        Fault::WrongType {
            key: String::new(),
            expected: plain_expected(expected),
            found: plain_found(found),
        }
    }

    fn invalid_value(found: Unexpected, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let hint = format!("choices: {}", known.join(", "));
        Fault::UnknownChoice { key: String::new(), found: variant.to_string(), hint }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownKey { key: field.to_string(), hint: suggestion(field, known.iter().copied()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::MissingKey { key: field.to_string() }
    }
}

/// Rust's type names in the words of a recipe's reader.
fn plain_expected(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u32" | "u64" | "usize" => "a whole number, 0 or larger".to_string(),
        "f32" | "f64" => "a number".to_string(),
        "a boolean" => "true or false".to_string(),
        "a sequence" => "a list".to_string(),
        "path string" => "a path in quotes".to_string(),
        "a map" => "a table".to_string(),
        _ if text.starts_with("struct ") => "a table".to_string(),
        _ => text,
    }
}

fn plain_found(found: Unexpected) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => format!("{value:?}"),
        Unexpected::Str(value) => format!("the string {value:?}"),
        Unexpected::Seq => "a list".to_string(),
        Unexpected::Map => "a table".to_string(),
        other => other.to_string(),
    }
}

struct Root<'a>(&'a Table);

impl<'de> Deserializer<'de> for Root<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Entries::new(self.0))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    fn unexpected(&self) -> Unexpected<'a> {
        match self.0 {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Datetime(_) => Unexpected::Other("a date"),
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Datetime(_) => Err(Fault::invalid_type(self.unexpected(), &visitor)),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Table(table) => visitor.visit_map(Entries::new(table)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// Choices are strings; a number stands for its digits, so that `rules = 2024` needs no quotes.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Integer(number) => visitor.visit_enum(number.to_string().into_deserializer()),
            _ => Err(Fault::invalid_type(self.unexpected(), &"a string")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(Node(item)).map(Some).map_err(|fault| fault.within(&format!("[{index}]")))
    }
}

struct Entries<'a> {
    entries: toml::map::Iter<'a, String, Value>,
    current: Option<(&'a str, &'a Value)>,
}

impl<'a> Entries<'a> {
    fn new(table: &'a Table) -> Self {
        Self { entries: table.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.entries.next().map(|(key, value)| (key.as_str(), value));
        let Some((key, _)) = self.current else { return Ok(None) };
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) =
            self.current.take().ok_or_else(|| Fault::custom("has a value without a key"))?;
        seed.deserialize(Node(value)).map_err(|fault| fault.within(key))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Inner,
        #[serde(default)]
        list: Vec<Inner>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        count: usize,
        ratio: Option<f32>,
        choice: Option<Choice>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        #[serde(rename = "2024")]
        New,
        #[serde(rename = "old")]
        Old,
    }

    fn read(text: &str) -> Result<Outer, String> {
        decode(&text.parse().unwrap()).map_err(|fault: Fault| fault.to_string())
    }

    #[test]
    fn reads_what_is_right() {
        let outer = read(
            "inner = { count = 3, ratio = 1, choice = 2024 }\nlist = [{ count = 0, choice = \
             'old' }]",
        )
        .unwrap();
        assert_eq!(outer.inner, Inner { count: 3, ratio: Some(1.0), choice: Some(Choice::New) });
        assert_eq!(outer.list, [Inner { count: 0, ratio: None, choice: Some(Choice::Old) }]);
    }

    #[test]
    fn faults_carry_the_full_key() {
        let message = |text| read(text).unwrap_err();
        assert_eq!(
            message("inner = { count = 3, ratoi = 1 }"),
            "unknown key `inner.ratoi`; did you mean `ratio`?"
        );
        assert_eq!(
            message("inner = { count = 'x' }"),
            "`inner.count` should be a whole number, 0 or larger, found the string \"x\""
        );
        assert_eq!(
            message("inner = { count = -1 }"),
            "`inner.count` should be a whole number, 0 or larger, found -1"
        );
        assert_eq!(
            message("inner = { count = 1.5 }"),
            "`inner.count` should be a whole number, 0 or larger, found 1.5"
        );
        assert_eq!(
            message("inner = { count = 1979-05-27 }"),
            "`inner.count` should be a whole number, 0 or larger, found a date"
        );
        assert_eq!(
            message("inner = { count = 1, ratio = true }"),
            "`inner.ratio` should be a number, found true"
        );
        assert_eq!(message("inner = 3"), "`inner` should be a table, found 3");
        assert_eq!(message("inner = { ratio = 1 }"), "missing key `inner.count`");
        assert_eq!(
            message("inner = { count = 1, choice = 'odd' }"),
            "`inner.choice` cannot be \"odd\"; choices: 2024, old"
        );
        assert_eq!(
            message("inner = { count = 1, choice = [] }"),
            "`inner.choice` should be a string, found a list"
        );
        assert_eq!(
            message("inner = { count = 1 }\nlist = [{ count = 1 }, { cuont = 1 }]"),
            "unknown key `list[1].cuont`; did you mean `count`?"
        );
        assert_eq!(
            message("inner = { count = 1 }\nlist = { a = 1 }"),
            "`list` should be a list, found a table"
        );
    }
}
