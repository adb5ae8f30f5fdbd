//! What is different in another version of a configuration file, key by key.

use std::collections::BTreeMap;

use toml::Value;

/// A file's keys, such as `code.layers`, and their values as they are written. What is there several
/// times, such as `[[worker]]`, is one value.
pub type Keys = BTreeMap<String, String>;

/// The keys of a text that is a valid configuration.
pub fn keys(text: &str) -> Keys {
    let mut keys = Keys::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        flatten("", &Value::Table(table), &mut keys);
    }
    keys
}

fn flatten(path: &str, value: &Value, keys: &mut Keys) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{key}"), value, keys);
            }
        }
        value => {
            keys.insert(path.to_owned(), value.to_string());
        }
    }
}

/// The keys whose values differ, or that only one of the two has.
pub fn changed(before: &Keys, after: &Keys) -> Vec<String> {
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    let mut changed: Vec<String> =
        before.keys().chain(after.keys()).filter(differs).cloned().collect();
    changed.sort();
    changed.dedup();
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_that_differs_is_named() {
        let before = "[a]\nb = 1\nc = \"x\"\n[d]\ne = [1, 2]\n[[w]]\nr = 1\n";
        let after = "# said\n[d]\ne = [1, 2]\nf = 2\n[a]\nc = \"y\"\n[[w]]\nr = 1\n[[w]]\nr = 2\n";
        assert_eq!(changed(&keys(before), &keys(before)), [""; 0]);
        assert_eq!(changed(&keys(before), &keys(after)), ["a.b", "a.c", "d.f", "w"]);
    }
}
