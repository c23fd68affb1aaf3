//! A `tokenizer.json` from outside is checked before the library gets it, which takes ids for sizes
//! of tables, and is tried before it is used: some patterns and parts make the library panic or
//! search without end.

use std::collections::HashMap;
use std::time::Duration;

use base::guard;
use serde_json::Value;

/// Beyond any vocabulary, and small enough for a table with a row for each id.
const LARGEST_ID: u64 = 1 << 24;

/// How long a tokenizer may take for the texts that it is tried with.
const TRIAL: Duration = Duration::from_secs(2);

/// Refuses ids that no vocabulary has, and two entries of one id.
pub(super) fn check(tokenizer: &Value) -> Result<(), String> {
    let mut names: HashMap<u64, &str> = HashMap::new();
    for (token, id) in tokenizer["model"]["vocab"].as_object().into_iter().flatten() {
        let id = checked(token, id)?;
        if let Some(other) = names.insert(id, token) {
            return Err(format!("its entries {other:?} and {token:?} have the same id {id}"));
        }
    }
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    for token in added {
        let content = token["content"].as_str().unwrap_or_default();
        let id = checked(content, &token["id"])?;
        match names.get(&id) {
            Some(other) if *other != content => {
                return Err(format!("its tokens {other:?} and {content:?} have the same id {id}"));
            }
            _ => drop(names.insert(id, content)),
        }
    }
    Ok(())
}

fn checked(token: &str, id: &Value) -> Result<u64, String> {
    match id.as_u64() {
        Some(id) if id < LARGEST_ID => Ok(id),
        _ => Err(format!("its entry {token:?} has the id {id}; ids are below {LARGEST_ID}")),
    }
}

/// The library's tokenizer, which has encoded and decoded a few texts.
pub(super) fn load(value: Value) -> Result<tokenizers::Tokenizer, String> {
    let load = move || {
        let tokenizer: tokenizers::Tokenizer =
            serde_json::from_value(value).map_err(|cause| cause.to_string())?;
        try_texts(&tokenizer)?;
        Ok(tokenizer)
    };
    let loaded = guard::catch_within(LOADING, load);
    loaded.unwrap_or_else(|cause| Err(format!("the tokenizers library fails at it: {cause}")))
}

/// How long loading may take: large vocabularies and many merges need a while.
const LOADING: Duration = Duration::from_secs(60);

fn try_texts(tokenizer: &tokenizers::Tokenizer) -> Result<(), String> {
    let tokenizer = tokenizer.clone();
    let try_all = move || -> Result<(), String> {
        for text in texts() {
            let encoding = tokenizer.encode(text, true).map_err(|cause| cause.to_string())?;
            tokenizer.decode(encoding.get_ids(), false).map_err(|cause| cause.to_string())?;
        }
        Ok(())
    };
    guard::catch_within(TRIAL, try_all)
        .unwrap_or_else(|cause| Err(format!("encoding a few short texts fails: {cause}")))
}

/// Texts of all classes of characters, and long runs, at which patterns that backtrack do not end.
fn texts() -> Vec<String> {
    let runs = ["a", " ", "\n", "1", "!", "aA1", "a ", "\u{4E2D}", "\u{301}", "\u{1F600}"];
    let runs = runs.iter().flat_map(|run| [run.repeat(40), run.repeat(400) + "!"]);
    let words = [
        "",
        " ",
        "The quick brown fox's 12 dogs, caf\u{E9} \u{4E2D}\u{6587} \u{1F600}!\r\n\t \u{A0}",
        "</s><s><pad><unk><mask>",
        "\u{0} \u{7F} \u{FEFF} \u{FFFD} e\u{301} \u{FF21}",
    ];
    words.into_iter().map(str::to_owned).chain(runs).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Tokenizer;
    use super::super::tests::small;

    fn refused(change: impl Fn(&mut serde_json::Value)) -> String {
        let mut value = serde_json::from_str(&small().json).unwrap();
        change(&mut value);
        Tokenizer::from_json(value.to_string()).unwrap_err()
    }

    #[test]
    fn ids_are_checked_before_tables_are_made_of_them() {
        let large = refused(|value| value["model"]["vocab"]["a"] = json!(2_147_483_647));
        assert!(large.contains("\"a\" has the id 2147483647"), "{large}");
        let twice = refused(|value| {
            let id = value["model"]["vocab"]["b"].clone();
            value["model"]["vocab"]["a"] = id;
        });
        assert!(twice.contains("have the same id"), "{twice}");
        let added = refused(|value| value["added_tokens"][0]["id"] = json!(u64::from(u32::MAX)));
        assert!(added.contains("has the id 4294967295"), "{added}");
        let negative = refused(|value| value["model"]["vocab"]["a"] = json!(-1));
        assert!(negative.contains("has the id -1"), "{negative}");
    }

    #[test]
    fn a_pattern_that_does_not_end_is_refused() {
        let started = std::time::Instant::now();
        let message = refused(|value| {
            value["pre_tokenizer"] = json!({
                "type": "Split",
                "pattern": {"Regex": "(a+)+(a+)+(a+)+$"},
                "behavior": "Isolated",
                "invert": false,
            });
        });
        assert!(message.contains("encoding a few short texts fails"), "{message}");
        assert!(started.elapsed().as_secs() < 10);
    }
}
