//! Whether two tokenizers make the same tokens.

use serde_json::{Value, json};

use super::Tokenizer;

/// All that decides the tokens of a text, in one canonical JSON value: added tokens, normalizer,
/// pre-tokenizer, model.
pub(super) fn content(tokenizer: &tokenizers::Tokenizer) -> serde_json::Result<Value> {
    let mut whole = serde_json::to_value(tokenizer)?;
    let mut content = json!({});
    for key in ["added_tokens", "normalizer", "pre_tokenizer", "model"] {
        content[key] = whole[key].take();
    }
    content.sort_all_objects();
    Ok(content)
}

impl Tokenizer {
    /// A hash of all that decides the tokens of a text: vocabulary, merges, normalizer,
    /// pre-tokenizer, added tokens. 64 hexadecimal digits; how a file is laid out does not matter.
    pub fn content_hash(&self) -> String {
        self.content_hash.to_hex().to_string()
    }

    /// Where two tokenizers differ first, in words, or `None` when they make the same tokens.
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        if self.content_hash == other.content_hash {
            return None;
        }
        let sizes = format!("vocabularies of {} and {} entries", self.vocab_size, other.vocab_size);
        for id in 0..self.vocab_size.max(other.vocab_size) as u32 {
            let [ours, theirs] = [self, other].map(|tokenizer| tokenizer.inner.id_to_token(id));
            if ours != theirs {
                return Some(format!(
                    "{sizes}; token {id} is {} in one and {} in the other",
                    name(ours),
                    name(theirs)
                ));
            }
        }
        Some(format!("{sizes}, the same tokens; {}", self.difference_beyond_vocabulary(other)))
    }

    fn difference_beyond_vocabulary(&self, other: &Self) -> String {
        let (Ok(ours), Ok(theirs)) = (content(&self.inner), content(&other.inner)) else {
            return "the other differences are not known".into();
        };
        let merges = [&ours, &theirs]
            .map(|content| content["model"]["merges"].as_array().map_or(&[][..], |merges| merges));
        let differing = (0..merges[0].len().max(merges[1].len()))
            .find(|&rank| merges[0].get(rank) != merges[1].get(rank));
        if let Some(rank) = differing {
            let [ours, theirs] =
                merges.map(|merges| merges.get(rank).map_or("absent".into(), Value::to_string));
            return format!("merge {rank} is {ours} in one and {theirs} in the other");
        }
        let part = ["normalizer", "pre_tokenizer", "added_tokens"]
            .into_iter()
            .find(|&part| ours[part] != theirs[part]);
        match part {
            Some(part) => {
                format!("the {part} is {} in one and {} in the other", ours[part], theirs[part])
            }
            None => "the model's options differ".into(),
        }
    }
}

fn name(token: Option<String>) -> String {
    token.map_or("absent".into(), |token| format!("{token:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{small, train};
    use super::*;

    fn changed(tokenizer: &Tokenizer, change: impl Fn(&mut Value)) -> Tokenizer {
        let mut value: Value = serde_json::from_str(&tokenizer.json).unwrap();
        change(&mut value);
        Tokenizer::from_json(value.to_string()).unwrap()
    }

    #[test]
    fn the_layout_of_a_file_does_not_matter() {
        let tokenizer = small();
        let other = changed(&tokenizer, |value| {
            value.sort_all_objects();
            value["pre_tokenizer"]["add_prefix_space"] = json!(false);
            let merges = value["model"]["merges"].as_array_mut().unwrap();
            for merge in merges {
                // The older way to write a merge.
                *merge =
                    json!(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
            }
        });
        assert_ne!(other.json, tokenizer.json);
        assert_eq!(other.content_hash(), tokenizer.content_hash());
        assert_eq!(tokenizer.content_hash().len(), 64);
        assert_eq!(tokenizer.first_difference(&other), None);
    }

    #[test]
    fn each_kind_of_difference_is_told() {
        let tokenizer = small();
        let message = |other: &Tokenizer| tokenizer.first_difference(other).unwrap();
        let smaller = train("aa aa\n", 8);
        assert!(
            message(&smaller)
                .contains(&format!("of {} and 8 entries; token 3 is", tokenizer.vocab_size()))
        );

        let merges = changed(&tokenizer, |value| {
            value["model"]["merges"].as_array_mut().unwrap().swap(4, 5)
        });
        assert!(message(&merges).contains("the same tokens; merge 4 is ["), "{}", message(&merges));
        let fewer = changed(&tokenizer, |value| {
            drop(value["model"]["merges"].as_array_mut().unwrap().pop())
        });
        assert!(message(&fewer).ends_with("in one and absent in the other"), "{}", message(&fewer));

        let normalizer = changed(&tokenizer, |value| value["normalizer"]["type"] = json!("NFC"));
        assert!(
            message(&normalizer).contains(r#"the normalizer is {"type":"NFKC"} in one"#),
            "{}",
            message(&normalizer)
        );
        let pattern =
            changed(&tokenizer, |value| value["pre_tokenizer"]["use_regex"] = json!(false));
        assert!(message(&pattern).contains("the pre_tokenizer is"));
        let added = changed(&tokenizer, |value| value["added_tokens"][1]["lstrip"] = json!(true));
        assert!(message(&added).contains("the added_tokens is"));
        let options = changed(&tokenizer, |value| value["model"]["ignore_merges"] = json!(true));
        assert!(message(&options).ends_with("options differ"), "{}", message(&options));
    }
}
