//! JSON that people write by hand, read so that nothing in it is passed over in silence.
//!
//! Of a name that stands twice in an object [`serde_json::Value`] keeps the last, and whoever wrote it would not know
//! that the first was for nothing. What is read into a structure is refused by that already.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a value in which no object has a name twice. As deep as `serde_json` reads: 128 levels.
///
/// # Errors
///
/// If it is no JSON, or a name stands twice: which one, and where.
pub fn unambiguous(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Unambiguous>(text).map(|read| read.0)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            let value = entries.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_unambiguous_is_read_as_it_is() {
        for text in [
            r#"{"a": [1, -2, 2.5, 18446744073709551615, true, null, "ü\n", {}], "b": {"a": []}}"#,
            "[]",
            "\"word\"",
            "{}",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(unambiguous(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_by_name_however_deep_and_however_written() {
        for (text, name) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": {"b": 1, "c": 2, "b": 3}}"#, "b"),
            (r#"[{"a": [{"x": null, "x": 1}]}]"#, "x"),
            (r#"{"epoch": 1, "\u0065poch": 2}"#, "epoch"),
        ] {
            let error = unambiguous(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(&format!("duplicate field `{name}` at line 1")), "{error}");
        }
        assert!(unambiguous(b"{").unwrap_err().is_eof());
        assert!(unambiguous(b"{} {}").is_err(), "one value, and nothing behind it");
    }
}
