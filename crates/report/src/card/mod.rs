//! A model card: the `README.md` of a model's folder, with metadata that model hubs read
//! (huggingface.co/docs/hub/model-cards).
//!
//! Names and texts may come from files of others: in the metadata they are quoted as YAML, in the
//! text they are escaped as Markdown.

mod metadata;
mod quote;

use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::Serialize;

pub use metadata::{LICENSES, is_dataset, is_language};
use quote::{code, text, yaml};

const TEMPLATE: &str = include_str!("card.md");

/// What a card is written of.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Card {
    /// The model's name.
    pub name: String,
    /// The licence, as hubs name it (`mit`, `cc-by-4.0`), where it is known.
    pub license: Option<String>,
    /// Codes of the text's languages, such as `en`.
    pub languages: Vec<String>,
    /// Names of the data sets on a hub.
    pub datasets: Vec<String>,
    /// Whether the model predicts the next token; others predict hidden ones.
    pub is_causal: bool,
    /// Whether it is an encoder-decoder, which predicts hidden spans.
    pub is_encoder_decoder: bool,
    /// Whether the folder has a layout of this program's own, which transformers does not read.
    pub is_own_layout: bool,
    /// Words that people search for.
    pub tags: Vec<String>,
    /// What the model is, in a sentence or two.
    pub summary: String,
    /// Sizes and settings: what, and how much.
    pub facts: Vec<(String, String)>,
    /// Paragraphs about the text that the model has seen.
    pub data: Vec<String>,
    /// What was measured.
    pub results: Vec<CardResult>,
    /// Paragraphs about the results.
    pub remarks: Vec<String>,
    /// What the model is not good for.
    pub limits: Vec<String>,
    /// The settings as text; empty where they are not known.
    pub recipe: String,
}

/// What was measured on one data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CardResult {
    /// A short name for the kind of data, such as `blimp`.
    pub dataset_type: String,
    /// The data's name.
    pub dataset: String,
    /// The numbers.
    pub metrics: Vec<CardMetric>,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CardMetric {
    /// What it is, as hubs name it: `accuracy`, `perplexity`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is, for people.
    pub name: String,
    /// The number.
    pub value: f64,
    /// The number as people read it.
    pub shown: String,
}

impl Card {
    /// The card as Markdown. Numbers that are not finite are left out.
    pub fn to_markdown(&self) -> String {
        let finite = |result: &CardResult| {
            let metrics = result.metrics.iter().filter(|metric| metric.value.is_finite());
            let metrics: Vec<CardMetric> = metrics.cloned().collect();
            (!metrics.is_empty()).then(|| CardResult { metrics, ..result.clone() })
        };
        let results: Vec<CardResult> = self.results.iter().filter_map(finite).collect();
        let mut templates = Environment::empty();
        templates.add_filter("yaml", |value: String| yaml(&value));
        templates.add_filter("text", |value: String| text(&value));
        // Without an exponent, which YAML 1.1 takes for text where there is no point.
        templates.add_filter("number", |value: f64| value.to_string());
        templates.add_filter("code", |value: String| code("toml", &value));
        let pipeline_tag = match (self.is_causal, self.is_encoder_decoder) {
            (true, _) => "text-generation",
            (false, false) => "fill-mask",
            (false, true) => "text2text-generation",
        };
        let card = Card { results, ..self.clone() };
        let values = context! { card => Serde(&card), pipeline_tag };
        let written = templates.render_str(TEMPLATE, values);
        // The template is part of the program, and its values are text and lists of text.
        let written = written.unwrap_or_else(|error| unreachable!("the card's template: {error}"));
        written.trim_end().to_owned() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        let metric = |kind: &str, value: f64| CardMetric {
            kind: kind.to_owned(),
            name: kind.to_owned(),
            value,
            shown: format!("{value:.2}"),
        };
        Card {
            name: "student".into(),
            is_causal: true,
            languages: vec!["en".into()],
            tags: vec!["llama".into()],
            summary: "A small model.".into(),
            facts: vec![("parameters".into(), "635,232".into())],
            data: vec!["48,000 words.".into(), "Seen 12 times.".into()],
            results: vec![
                CardResult {
                    dataset_type: "held-out".into(),
                    dataset: "held-out text".into(),
                    metrics: vec![metric("loss", 2.5), metric("perplexity", f64::INFINITY)],
                },
                CardResult {
                    dataset_type: "nothing".into(),
                    dataset: "nothing".into(),
                    metrics: vec![metric("loss", f64::NAN)],
                },
            ],
            remarks: vec!["Of one seed.".into()],
            limits: vec!["It knows little.".into(), "It states what is false.".into()],
            recipe: "epochs = 12\n".into(),
            ..Card::default()
        }
    }

    #[test]
    fn a_card_has_metadata_and_sections() {
        let expected = include_str!("expected.md");
        assert_eq!(card().to_markdown(), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = Card { results: Vec::new(), recipe: String::new(), ..card() }.to_markdown();
        assert!(text.contains("None are recorded for these weights."), "{text}");
        for absent in ["license:", "datasets:", "model-index:", "## Recipe"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
        let masked = Card { is_causal: false, ..card() }.to_markdown();
        assert!(masked.contains("pipeline_tag: \"fill-mask\""), "{masked}");
        assert!(!masked.contains("AutoModelForCausalLM"), "{masked}");
        let spans = Card { is_causal: false, is_encoder_decoder: true, ..card() }.to_markdown();
        assert!(spans.contains("pipeline_tag: \"text2text-generation\""), "{spans}");
        assert!(spans.contains("AutoModelForSeq2SeqLM"), "{spans}");
    }

    #[test]
    fn a_layout_of_our_own_is_no_model_of_transformers() {
        let card = Card { is_own_layout: true, ..card() }.to_markdown();
        assert!(card.contains("library_name: babyllama\n"), "{card}");
        assert!(card.contains("babyllama generate . --prompt"), "{card}");
        assert!(!card.contains("from transformers import"), "{card}");
        let masked = Card { is_own_layout: true, is_causal: false, ..self::card() }.to_markdown();
        assert!(masked.contains("babyllama evaluate blimp ."), "{masked}");
        assert!(!masked.contains("babyllama generate"), "{masked}");
    }

    #[test]
    fn hostile_names_stay_names() {
        let name = "a\n---\nlicense: x\u{202e} `<script>alert(1)</script>` | ![x](y) \"'";
        let hostile = Card {
            name: name.into(),
            license: Some(name.into()),
            datasets: vec![name.into()],
            facts: vec![(name.into(), name.into())],
            recipe: "x = \"\"\"\n```\n</details>\n\"\"\"".into(),
            ..card()
        };
        let markdown = hostile.to_markdown();
        assert_eq!(markdown.lines().filter(|line| *line == "---").count(), 2, "{markdown}");
        let keys = markdown.lines().filter(|line| line.starts_with("license:"));
        assert_eq!(keys.count(), 1, "{markdown}");
        assert!(!markdown.contains('\u{202e}'), "{markdown}");
        let body = markdown.splitn(3, "---\n").nth(2).unwrap();
        assert!(!body.contains("<script>"), "{body}");
        assert!(body.contains("\n````toml\n"), "{body}");
    }
}
