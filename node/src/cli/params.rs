//! Protocol parameters from a file that names those which are other than usual.

use std::path::Path;

use anyhow::Context as _;
use conclave_types::{Params, json};
use serde_json::{Map, Value};

/// The parameters of a file: a JSON object like `params` of a genesis, in which whatever is missing is as usual.
pub(super) fn read(path: &Path) -> anyhow::Result<Params> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {path:?}"))?;
    parse(&text).with_context(|| {
        format!("{path:?} holds no parameters: expected some of what `params` in genesis.json has, like {EXAMPLE}")
    })
}

const EXAMPLE: &str = r#"{"sharing": {"epoch_heights": 60, "era_epochs": 2}}"#;

fn parse(text: &[u8]) -> serde_json::Result<Params> {
    let named = serde_json::from_value::<Map<String, Value>>(json::unambiguous(text)?)?;
    let mut all = serde_json::to_value(Params::default())?;
    overlay(&mut all, Value::Object(named));
    serde_json::from_value(all)
}

/// Puts what is named in the place of what is usual. Names that are none stay, to be refused.
fn overlay(usual: &mut Value, named: Value) {
    match (usual, named) {
        (Value::Object(usual), Value::Object(named)) => {
            for (name, value) in named {
                overlay(usual.entry(name).or_insert(Value::Null), value);
            }
        }
        (usual, named) => *usual = named,
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::HeightDelta;

    use super::*;

    #[test]
    fn what_is_not_named_is_as_usual() {
        let found = parse(EXAMPLE.as_bytes()).unwrap();
        let mut expected = Params::default();
        expected.sharing.epoch_heights = HeightDelta::new(60);
        expected.sharing.era_epochs = 2;
        assert_eq!(found, expected);
        assert_eq!(parse(b"{}").unwrap(), Params::default());
        let whole = serde_json::to_vec(&expected).unwrap();
        assert_eq!(parse(&whole).unwrap(), expected);
    }

    #[test]
    fn names_and_values_that_are_none_are_refused_by_name() {
        for (text, expected) in [
            (r#"{"sharing": {"epochs": 1}}"#, "unknown field `epochs`"),
            (r#"{"share": {}}"#, "unknown field `share`"),
            (r#"{"sharing": {"era_epochs": "2"}}"#, "invalid type: string"),
            (r#"{"sharing": 5}"#, "invalid type: integer"),
            (r#"{"sharing": {"era_epochs": -1}}"#, "invalid value: integer `-1`"),
            (r#"{"sharing": {"era_epochs": 2}, "sharing": {}}"#, "duplicate field `sharing`"),
            (r#"{"sharing": {"era_epochs": 2, "era_epochs": 3}}"#, "duplicate field `era_epochs`"),
            ("[]", "invalid type: sequence"),
            ("", "EOF"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
