//! A `tokenizer.json` from outside is checked before the library gets it, which takes ids for sizes
//! of tables, and is tried before it is used: some patterns and parts make the library panic or
//! search without end.

use std::collections::HashMap;
use std::time::Duration;

use base::guard;
use serde_json::Value;

/// Beyond any vocabulary, and small enough for a table with a row for each id.
const LARGEST_ID: u64 = 1 << 24;

/// The processor time that a tokenizer may take for the texts that it is tried with.
const TRIAL: Duration = Duration::from_secs(1);

/// The longest pattern, in bytes: several times the longest of a published tokenizer.
const LONGEST_PATTERN: usize = 4096;

/// The deepest nesting of groups and sets in a pattern.
const DEEPEST_NESTING: usize = 32;

/// Refuses ids that no vocabulary has, two entries of one id, and patterns out of all proportion.
pub(super) fn check(tokenizer: &Value) -> Result<(), String> {
    ["normalizer", "pre_tokenizer", "post_processor", "decoder"]
        .iter()
        .try_for_each(|part| check_patterns(&tokenizer[*part]))?;
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

/// Refuses regular expressions that are too long or too deeply nested, anywhere in a part.
fn check_patterns(part: &Value) -> Result<(), String> {
    let pattern = part["pattern"]["Regex"].as_str().unwrap_or_default();
    let (length, depth) = (pattern.len(), nesting(pattern));
    if length > LONGEST_PATTERN {
        return Err(format!("a pattern of it has {length} bytes; {LONGEST_PATTERN} are possible"));
    }
    if depth > DEEPEST_NESTING {
        return Err(format!("a pattern of it is {depth} groups deep; {DEEPEST_NESTING} can be"));
    }
    match part {
        Value::Object(fields) => fields.values().try_for_each(check_patterns),
        Value::Array(parts) => parts.iter().try_for_each(check_patterns),
        _ => Ok(()),
    }
}

/// How deep groups and sets of a pattern are nested.
fn nesting(pattern: &str) -> usize {
    let (mut depth, mut deepest, mut is_escaped) = (0usize, 0, false);
    for character in pattern.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
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

    fn split(pattern: &str) -> serde_json::Value {
        json!({
            "type": "Split",
            "pattern": {"Regex": pattern},
            "behavior": "Isolated",
            "invert": false,
        })
    }

    #[test]
    fn a_pattern_that_does_not_end_is_refused() {
        let message = refused(|value| value["pre_tokenizer"] = split("(a+)+(a+)+(a+)+$"));
        assert!(message.contains("encoding a few short texts fails"), "{message}");
    }

    #[test]
    fn patterns_out_of_all_proportion_are_refused_wherever_they_are() {
        let deep = split(&format!("{}a{}", "(".repeat(40), ")".repeat(40)));
        let long = split(&"a|".repeat(3000));
        let normalizer = json!({"type": "Replace", "pattern": deep["pattern"], "content": "b"});
        let sequence = json!({"type": "Sequence", "pretokenizers": [long]});
        let message = refused(|value| value["pre_tokenizer"] = deep.clone());
        assert!(message.contains("is 40 groups deep"), "{message}");
        let message = refused(|value| value["normalizer"] = normalizer.clone());
        assert!(message.contains("is 40 groups deep"), "{message}");
        let message = refused(|value| value["pre_tokenizer"] = sequence.clone());
        assert!(message.contains("has 6000 bytes"), "{message}");
        assert_eq!(super::nesting(r"[^\s[:p:]]|\((?:a\[)"), 2);
    }

    #[test]
    fn a_text_at_which_the_library_fails_is_an_error() {
        // Short runs of one character, as in the trial, do not show it.
        let mut value: serde_json::Value = serde_json::from_str(&small().json).unwrap();
        value["pre_tokenizer"] = split(r"(x+x+)+y|.");
        let tokenizer = Tokenizer::from_json(value.to_string()).unwrap();
        assert!(tokenizer.encode("The dog").is_ok());
        let message = tokenizer.encode(&"x".repeat(400)).unwrap_err().to_string();
        assert!(message.starts_with("the tokenizer failed at encoding a text"), "{message}");
    }
}
