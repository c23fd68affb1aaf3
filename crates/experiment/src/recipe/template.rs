//! A recipe to begin with: two teachers and a student, with the reference's words as comments.

use std::path::Path;

use toml::Value;

use super::keys::{TableKeys, tables, wrapped};

/// Columns of the comments.
const WIDTH: usize = 90;

/// A table of the new recipe: its head, the head under which the reference has its keys, and the
/// keys with their values.
type TemplateTable = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const TABLES: [TemplateTable; 8] = [
    ("[tokenizer]", "[tokenizer]", &[("vocab_size", "8000")]),
    (
        "[defaults.train]",
        "[models.NAME.train]",
        &[
            ("epochs", "4"),
            ("batch_size", "32"),
            ("sequence_length", "128"),
            ("learning_rate", "1e-3"),
            ("schedule", "\"cosine\""),
            ("warmup_ratio", "0.05"),
            ("weight_decay", "0.1"),
        ],
    ),
    ("[models.teacher-gpt2]", "[models.NAME]", SHAPE_OF_GPT2),
    ("[models.teacher-llama]", "[models.NAME]", SHAPE_OF_LLAMA),
    ("[models.student]", "[models.NAME]", SHAPE_OF_LLAMA),
    (
        "[models.student.distill]",
        "[models.NAME.distill]",
        &[
            ("teachers", "[\"teacher-gpt2\", \"teacher-llama\"]"),
            ("temperature", "2.0"),
            ("alpha", "0.5"),
            ("signal", "\"hidden\""),
        ],
    ),
    ("[models.undistilled]", "[models.NAME]", SHAPE_OF_LLAMA),
    (
        "[evaluate]",
        "[evaluate]",
        &[("loss", "true"), ("ensembles", "[[\"teacher-gpt2\", \"teacher-llama\"]]")],
    ),
];

const SHAPE_OF_GPT2: &[(&str, &str)] = &[
    ("architecture", "\"gpt2\""),
    ("hidden_size", "192"),
    ("num_layers", "5"),
    ("num_heads", "6"),
];

const SHAPE_OF_LLAMA: &[(&str, &str)] = &[
    ("architecture", "\"llama\""),
    ("hidden_size", "192"),
    ("intermediate_size", "512"),
    ("num_layers", "5"),
    ("num_heads", "6"),
];

/// A commented recipe for a folder of text, or for the built-in corpus.
pub fn new(source: Option<&Path>) -> String {
    let source = source.map_or("builtin".into(), |path| path.to_string_lossy().into_owned());
    let source = Value::String(source).to_string();
    let reference = tables();
    let mut explained = Vec::new();
    let mut text = "\
# A recipe of babyllama. `babyllama plan FILE` shows what it will take, `babyllama run FILE` does it
# all and goes on where it was cut. `babyllama recipe keys` lists every key.

"
    .to_owned();
    text.push_str(&table(
        &reference,
        "[corpus]",
        "[corpus]",
        &[("source", &source)],
        &mut explained,
    ));
    for (head, known_as, keys) in TABLES {
        text.push('\n');
        text.push_str(&table(&reference, head, known_as, keys, &mut explained));
    }
    text
}

/// A table with a comment before each key that had none yet.
fn table(
    reference: &[TableKeys],
    head: &str,
    known_as: &str,
    keys: &[(&str, &str)],
    explained: &mut Vec<String>,
) -> String {
    let mut text = format!("{head}\n");
    let known = reference.iter().filter(|table| table.head == known_as);
    let known: Vec<_> = known.flat_map(|table| &table.keys).collect();
    for (key, value) in keys {
        let name = format!("{known_as} {key}");
        let comment = known.iter().find(|known| known.key == *key);
        if let Some(comment) = comment.filter(|_| !explained.contains(&name)) {
            text.push_str(&wrapped(&comment.description(), WIDTH, "# "));
            explained.push(name);
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Source, embedded};
    use super::*;

    #[test]
    fn a_new_recipe_holds_and_is_explained() {
        let text = new(None);
        let recipe = embedded("new.toml", &text).unwrap();
        assert_eq!(recipe.models.len(), 4);
        assert_eq!(recipe.models["student"].train.epochs, 4.0);
        assert_eq!(recipe.corpus.source, Source::Builtin);
        assert_eq!(text.matches("# The family.").count(), 1, "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");

        let quoted = new(Some(Path::new("my \"text\"\\folder")));
        let recipe = embedded("new.toml", &quoted).unwrap();
        assert_eq!(recipe.corpus.source, Source::Folder("my \"text\"\\folder".into()));
    }

    #[test]
    fn every_key_of_the_template_is_in_the_reference() {
        let reference = tables();
        for (_, known_as, keys) in TABLES {
            let table = reference.iter().find(|table| table.head == known_as).unwrap();
            for (key, _) in keys {
                assert!(table.keys.iter().any(|known| known.key == *key), "{known_as} {key}");
            }
        }
    }
}
