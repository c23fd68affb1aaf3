//! The reference of a recipe's keys, made from the comments of the program's own settings: what
//! `babyllama recipe keys` prints, docs/RECIPE.md, and the comments of a new recipe.

use std::fmt::Write;

use documented::DocumentedFields;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use train::optimizers::ParameterGroup;
use train::settings::{
    AverageKind, AverageSettings, BucketSettings, CorruptionSettings, DistillSettings,
    HybridSettings, MaskedSettings, PhaseSettings, SamSettings, SpanSettings, TrainSettings,
};

use super::Recipe;
use super::decode::decode;
use super::error::Fault;
use super::model::ModelKeys;
use super::sections::{CorpusSection, EvaluateSection, TokenizerSection};

/// A table of a recipe.
#[derive(Clone, Debug)]
pub struct TableKeys {
    /// The table's head as it is written in a recipe, such as `[corpus]`; empty for the keys
    /// before any table.
    pub head: &'static str,
    /// What the table is for.
    pub purpose: &'static str,
    /// The keys, in the order of the program's settings.
    pub keys: Vec<KeyReference>,
}

/// A key of a recipe.
#[derive(Clone, Debug)]
pub struct KeyReference {
    /// The key alone, such as `vocab_size`.
    pub key: &'static str,
    /// The value when the key is left out, as TOML; empty where that depends on other keys.
    pub default: String,
    /// The words that the value may be; empty where it is none of a few.
    pub choices: Vec<String>,
    /// What the value means.
    pub meaning: String,
}

/// A table: how it is written, what it is for, and its keys by the comments of its settings.
type TableForm = (&'static str, &'static str, fn() -> Vec<KeyReference>);

/// Every table, in the order of a recipe.
const TABLES: &[TableForm] = &[
    ("", "Before any table.", || keys::<Recipe>(&Recipe::default())),
    ("[corpus]", "The text.", || keys::<CorpusSection>(&CorpusSection::default())),
    ("[tokenizer]", "The tokenizer: trained on the text, or read from a file.", || {
        keys::<TokenizerSection>(&TokenizerSection::default())
    }),
    (
        "[models.NAME]",
        "A model, one such table for each; they are trained in the order of the file.",
        || keys::<ModelKeys>(&Table::new()),
    ),
    ("[models.NAME.train]", "How it is trained.", || {
        keys::<TrainSettings>(&TrainSettings::default())
    }),
    (
        "[[models.NAME.train.groups]]",
        "Parameters that are updated in another way than the rest; as many such tables as there \
         are groups.",
        || keys::<ParameterGroup>(&ParameterGroup::default()),
    ),
    (
        "[models.NAME.train.corruption]",
        "Input tokens that are replaced in training, while the text is predicted.",
        || keys::<CorruptionSettings>(&CorruptionSettings::default()),
    ),
    (
        "[models.NAME.train.hybrid]",
        "Steps that predict masked tokens, with attention in both directions.",
        || keys::<HybridSettings>(&HybridSettings::default()),
    ),
    ("[models.NAME.train.masked]", "How the tokens of a masked model are hidden.", || {
        keys::<MaskedSettings>(&MaskedSettings::default())
    }),
    (
        "[models.NAME.train.spans]",
        "How the spans of an encoder-decoder's texts are hidden.",
        || keys::<SpanSettings>(&SpanSettings::default()),
    ),
    (
        "[models.NAME.train.sam]",
        "Sharpness-aware minimisation, which doubles the work of a step.",
        || keys::<SamSettings>(&SamSettings::default()),
    ),
    (
        "[models.NAME.train.average]",
        "An average of the weights, which becomes the model where its held-out loss is lower.",
        || keys::<AverageSettings>(&AverageSettings::new(AverageKind::EmaSteps)),
    ),
    (
        "[models.NAME.train.buckets]",
        "A curriculum: phases of rising difficulty, each with more of the text.",
        || keys::<BucketSettings>(&BucketSettings::new(5)),
    ),
    (
        "[[models.NAME.train.phases]]",
        "Parts of the training, whose keys replace those of `[models.NAME.train]`.",
        || keys::<PhaseSettings>(&PhaseSettings::default()),
    ),
    (
        "[models.NAME.distill]",
        "How it learns from teachers; a model without this table has none.",
        || keys::<DistillSettings>(&DistillSettings::new(Vec::new())),
    ),
    ("[evaluate]", "What is measured once the models are trained.", || {
        keys::<EvaluateSection>(&EvaluateSection::default())
    }),
];

/// Every table with every key, in the order of a recipe.
pub fn tables() -> Vec<TableKeys> {
    let table = |&(head, purpose, keys): &TableForm| {
        let keys = keys().into_iter().filter(|key| !is_table(head, key.key)).collect();
        TableKeys { head, purpose, keys }
    };
    TABLES.iter().map(table).collect()
}

/// Whether a key of the table with this head is written as a table of its own.
fn is_table(head: &'static str, key: &str) -> bool {
    let path = |head: &'static str| head.trim_matches(['[', ']']);
    let head = path(head);
    let whole = if head.is_empty() { key.to_owned() } else { format!("{head}.{key}") };
    let mut paths = TABLES.iter().map(|&(head, ..)| path(head));
    paths.any(|path| {
        path == whole || path.strip_prefix(&whole).is_some_and(|it| it.starts_with('.'))
    })
}

/// The keys of a table by the comments of its settings.
fn keys<T: DocumentedFields + DeserializeOwned>(
    defaults: &impl serde::Serialize,
) -> Vec<KeyReference> {
    // Settings always have a form in TOML.
    let defaults = Table::try_from(defaults).unwrap_or_default();
    let fields = T::FIELD_NAMES.iter().zip(T::FIELD_DOCS);
    let reference = |(&key, comment): (&&'static str, &&'static str)| KeyReference {
        key,
        default: defaults.get(key).map(short).unwrap_or_default(),
        choices: choices::<T>(key, &defaults),
        meaning: plain(comment),
    };
    fields.map(reference).collect()
}

/// A default as it is written, without what is empty or depends on the recipe.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => String::new(),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Float(number) if number.fract() == 0.0 => format!("{number:?}"),
        Value::Float(number) if number.abs() < 1e-3 => format!("{number:e}"),
        other => other.to_string(),
    }
}

/// The words that a key may be: those that the refusal of another word lists.
fn choices<T: DeserializeOwned>(key: &str, defaults: &Table) -> Vec<String> {
    let mut table = defaults.clone();
    table.insert(key.to_owned(), Value::String("?".to_owned()));
    match decode::<T>(&table) {
        Err(Fault::UnknownChoice { hint, .. }) => {
            let known = hint.strip_prefix("choices: ").unwrap_or_default();
            known.split(", ").map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// A comment in one line, without the links that only developers can follow.
fn plain(comment: &str) -> String {
    let line = comment.split_whitespace().collect::<Vec<_>>().join(" ");
    let without_see = match line.find("; see [") {
        Some(at) => format!("{}.", &line[..at]),
        None => line,
    };
    without_see.replace("[`", "`").replace("`]", "`")
}

/// A text in lines of at most `width` columns, each with `start` in front.
pub(super) fn wrapped(text: &str, width: usize, start: &str) -> String {
    let mut lines = vec![start.to_owned()];
    let mut columns = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if columns > 0 && start.len() + columns + 1 + length > width {
            lines.push(start.to_owned());
            columns = 0;
        }
        let gap = if columns > 0 { " " } else { "" };
        if let Some(line) = lines.last_mut() {
            line.push_str(gap);
            line.push_str(word);
        }
        columns += gap.len() + length;
    }
    lines.join("\n") + "\n"
}

/// The reference as text for a terminal.
pub fn to_text() -> String {
    let mut text = String::new();
    for table in tables() {
        let head = if table.head.is_empty() { "(top level)" } else { table.head };
        let _ = writeln!(text, "{head}");
        text.push_str(&wrapped(table.purpose, 80, "  "));
        text.push('\n');
        for key in &table.keys {
            let default = match key.default.is_empty() {
                true => String::new(),
                false => format!(" = {}", key.default),
            };
            let _ = writeln!(text, "  {}{default}", key.key);
            text.push_str(&wrapped(&key.description().replace('`', ""), 80, "      "));
        }
        text.push('\n');
    }
    text
}

/// The reference as Markdown: docs/RECIPE.md.
pub fn to_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for table in tables() {
        let head = if table.head.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`{}`", table.head)
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {head}\n\n{}\n\n| key | default | meaning |\n|---|---|---|\n",
            table.purpose
        );
        for key in &table.keys {
            let default =
                if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
            let _ = writeln!(text, "| `{}` | {default} | {} |", key.key, key.description());
        }
    }
    text
}

const INTRODUCTION: &str = "\
# Keys of a recipe

A recipe is a TOML file with the tables below. Unknown keys are refused. `babyllama recipe keys`
prints this reference, `babyllama recipe new` a recipe to begin with, and a run's folder has the
whole recipe with every default written out (`recipe.toml`).

- Paths begin in the working directory.
- `[defaults]`, `[defaults.train]` and `[defaults.distill]` hold values for all models that do not
  set them.
- `--set KEY=VALUE` overrides a key: `--set corpus.words=1000`, `--set student.train.epochs=4` for
  the model `student`, `--set train.epochs=4` for all models, `--set
  student.train.phases[1].epochs=4` for the second entry of a list.

This file is made from the comments of the program's settings; a test holds the two together.
";

impl KeyReference {
    /// What the value means and may be, in one line.
    pub fn description(&self) -> String {
        match self.choices.is_empty() {
            true => self.meaning.clone(),
            false => {
                let choices: Vec<_> = self.choices.iter().map(|word| format!("`{word}`")).collect();
                format!("{} One of {}.", self.meaning, choices.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_resolved_recipe_is_in_the_reference() {
        let text = "[models.a]\narchitecture = 'gpt2'\nhidden_size = 64\nnum_layers = 1\n\
                    num_heads = 2\n[models.a.train]\ngroups = [{}]\n[models.b]\nfrom = 'x'\n\
                    [models.b.distill]\nteachers = ['a']";
        let resolved = super::super::embedded("x.toml", text).unwrap().resolved().unwrap();
        let known: Vec<&str> =
            tables().iter().flat_map(|table| table.keys.iter().map(|key| key.key)).collect();
        for line in resolved.lines().filter(|line| line.contains(" = ")) {
            let key = line.split(" = ").next().unwrap();
            assert!(known.contains(&key), "{key} is not in {known:?}");
        }
        assert!(known.len() >= 57, "{}", known.len());
    }

    #[test]
    fn a_key_is_in_one_place() {
        let train = tables().into_iter().find(|table| table.head == "[models.NAME.train]").unwrap();
        let keys: Vec<_> = train.keys.iter().map(|key| key.key).collect();
        assert!(!keys.contains(&"spans") && !keys.contains(&"groups") && keys.contains(&"epochs"));
        assert!(!tables()[0].keys.iter().any(|key| ["models", "corpus"].contains(&key.key)));
    }

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 9, "# "), "# one two\n# three\n");
        assert_eq!(wrapped("incomprehensible", 5, ""), "incomprehensible\n");
        assert!(to_text().lines().all(|line| line.chars().count() <= 100));
        assert!(
            to_text().contains("[corpus]\n  The text.\n\n  source = \"builtin\"\n      A folder")
        );
    }

    #[test]
    fn keys_have_their_defaults_and_choices() {
        let tables = tables();
        let find = |head: &str, key: &str| {
            let table = tables.iter().find(|table| table.head == head).unwrap();
            table.keys.iter().find(|known| known.key == key).unwrap().clone()
        };
        let train = "[models.NAME.train]";
        assert_eq!(find(train, "learning_rate").default, "3e-4");
        assert_eq!(find(train, "adam_beta1").default, "0.9");
        assert_eq!(find(train, "schedule").default, "\"cosine\"");
        assert!(find(train, "schedule").choices.contains(&"constant_with_warmup".to_owned()));
        assert!(find(train, "optimizer").choices.contains(&"adamw_hf".to_owned()));
        assert!(find("[models.NAME]", "architecture").choices.contains(&"gpt2".to_owned()));
        assert!(find("[evaluate]", "rules").choices == ["2023", "2024"]);
        assert_eq!(find("[corpus]", "source").default, "\"builtin\"");
        let meanings = tables.iter().flat_map(|table| &table.keys).map(|key| &key.meaning);
        assert!(meanings.into_iter().all(|text| text.ends_with('.') && !text.contains("](")));
    }

    /// To write the file anew: `cargo run --release -- recipe keys --markdown > docs/RECIPE.md`.
    #[test]
    fn the_document_is_made_from_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RECIPE.md");
        let document = std::fs::read_to_string(path).unwrap();
        assert!(document == to_markdown(), "docs/RECIPE.md is not what `recipe keys` prints");
    }
}
