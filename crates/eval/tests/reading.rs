//! The reading task against transformers and numpy on made-up words (`tools/golden/reading.py`),
//! and against what the pipeline itself found on the real table, which is not in the repository:
//! `BABYLLAMA_DATA=FOLDER cargo test --release -p eval --test reading -- --ignored`

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corpus::Tokenizer;
use engine::Device;
use engine::cpu::Cpu;
use eval::challenge::reading::{
    EYE_TRACKING, ReadingMode, ReadingOutcome, ReadingRegression, ReadingScore, ReadingTable,
    RowSurprisal, SELF_PACED, measure, predictions, read_table, report,
};
use eval::challenge::{ChallengeBackend, ChallengeTokenizer, SpecialTokens};
use eval::{EncoderDecoderRule, EvalError, Scorer};
use model::{EncoderDecoderTokens, MaskedTokens, hugging_face};
use serde::Deserialize;
use serde_json::{Value, json};
use support::OfFolder;

/// The score of a model folder by a back end.
fn outcome(
    folder: &Path,
    backend: ChallengeBackend,
    mode: ReadingMode,
    table: &ReadingTable,
    tokenizer: &OfFolder,
) -> Result<ReadingOutcome, EvalError> {
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let model = hugging_face::load_any(folder, &device).unwrap();
    let SpecialTokens { mask, classifier, end, begin } = tokenizer.special_tokens();
    let (mask, end) = (mask.unwrap_or_default(), end.unwrap_or_default());
    let family = model.config().architecture;
    let scorer = if family.is_encoder_decoder() {
        let tokens = EncoderDecoderTokens { begin, hidden: mask, end };
        Scorer::encoder_decoder(vec![&model], tokens, EncoderDecoderRule::HiddenTokens)?
    } else if family.is_causal() {
        Scorer::new(vec![&model])?
    } else {
        let start = classifier.unwrap_or_default();
        Scorer::masked(vec![&model], MaskedTokens { start, mask, end })?
    };
    let mut last = (0, 1);
    let found = measure(&scorer, backend, mode, table, tokenizer, |done, all| last = (done, all));
    assert!(found.is_err() || last.0 == last.1, "{last:?}");
    found
}

#[derive(Deserialize)]
struct Golden {
    tokenizers: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    backend: ChallengeBackend,
    tokenizer: String,
    published: Expected,
    proper: Expected,
}

#[derive(Deserialize)]
struct Expected {
    surprisals: Vec<(f64, Option<f64>)>,
    regressions: BTreeMap<String, Regression>,
}

#[derive(Deserialize)]
struct Regression {
    rows: usize,
    without: f64,
    with: f64,
    gain: f64,
}

fn fixture(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("fixtures/reading.json")).unwrap()
}

fn made_up() -> ReadingTable {
    read_table(&fixture("tests/fixtures/reading_data.csv")).unwrap()
}

/// The tokenizer of a JSON, from a folder whose configuration names the special tokens.
fn tokenizer(json: &Value) -> OfFolder {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>",
        "add_prefix_space": json["pre_tokenizer"]["add_prefix_space"],
    });
    for (name, value) in [("tokenizer.json", json), ("tokenizer_config.json", &config)] {
        std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    OfFolder(Tokenizer::from_folder(folder.path()).unwrap())
}

fn model_fixture(name: &str) -> PathBuf {
    fixture("../model/tests/fixtures").join(name)
}

/// The largest difference; both miss the same values.
fn difference(found: &[RowSurprisal], expected: &[(f64, Option<f64>)]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let of_row = |(found, &(word, previous)): (&RowSurprisal, &(f64, Option<f64>))| {
        assert_eq!(found.previous.is_some(), previous.is_some());
        let previous = found.previous.zip(previous).map_or(0.0, |(a, b)| (a - b).abs());
        previous.max((found.word - word).abs())
    };
    found.iter().zip(expected).map(of_row).fold(0.0, f64::max)
}

#[test]
fn surprisals_are_those_of_transformers_for_every_back_end_and_tokenizer() {
    let (Golden { tokenizers, cases }, table) = (golden(), made_up());
    for Case { model, backend, tokenizer: name, published, proper } in &cases {
        let tokenizer = tokenizer(&tokenizers[name]);
        for (mode, expected) in [(ReadingMode::Published, published), (ReadingMode::Proper, proper)]
        {
            let found = outcome(&model_fixture(model), *backend, mode, &table, &tokenizer).unwrap();
            let difference = difference(&found.surprisals, &expected.surprisals);
            assert!(difference < 1e-5, "{difference}: {model}, {backend:?}, {name}, {mode:?}");
            for regression in &found.score.regressions {
                let expected = &expected.regressions[&regression.time];
                assert!((regression.gain - expected.gain).abs() < 1e-3, "{regression:?}");
            }
            assert!(found.tokens > 0);
        }
    }
}

#[test]
fn regressions_are_those_of_numpy() {
    let table = made_up();
    for case in golden().cases {
        for Expected { surprisals, regressions } in [case.published, case.proper] {
            let of_row = |(word, previous)| RowSurprisal { word, previous };
            let surprisals: Vec<RowSurprisal> = surprisals.into_iter().map(of_row).collect();
            let score = ReadingScore::of(&table, &surprisals).unwrap();
            let names: Vec<&str> = score.regressions.iter().map(|of| of.time.as_str()).collect();
            assert_eq!((&names[..4], names[4]), (&EYE_TRACKING[..], SELF_PACED));
            for found in &score.regressions {
                let expected = &regressions[&found.time];
                assert_eq!(found.rows, expected.rows);
                assert!((found.r_squared_without - expected.without).abs() < 1e-10, "{found:?}");
                assert!((found.r_squared_with - expected.with).abs() < 1e-10, "{found:?}");
                assert!((found.gain - expected.gain).abs() < 1e-8, "{found:?}");
            }
            let gain = |name: &&str| regressions[*name].gain;
            let eyes = EYE_TRACKING.iter().map(gain).sum::<f64>() / 4.0;
            assert!((score.eye_tracking - eyes).abs() < 1e-8);
            assert_eq!(score.self_paced, score.regressions[4].gain);
            assert_eq!(score.mean, (score.eye_tracking + score.self_paced) / 2.0);
        }
    }
}

#[test]
fn surprisals_that_are_all_equal_add_nothing() {
    let table = made_up();
    let same = vec![RowSurprisal { word: 3.0, previous: Some(3.0) }; table.rows.len()];
    let score = ReadingScore::of(&table, &same).unwrap();
    assert_eq!((score.eye_tracking, score.self_paced), (0.0, 0.0));
}

#[test]
fn rows_that_determine_no_regression_are_named() {
    let table = made_up();
    let ones = |rows: usize| vec![RowSurprisal { word: 1.0, previous: Some(1.0) }; rows];
    let message = |change: &dyn Fn(&mut ReadingTable)| {
        let mut table = table.clone();
        change(&mut table);
        ReadingScore::of(&table, &ones(table.rows.len())).unwrap_err().to_string()
    };
    let few = message(&|table| table.rows.truncate(8));
    assert_eq!(few, "no regression of `RTfirstfix`: 8 rows have all values, which are too few");
    let few = message(&|table| table.rows.truncate(16));
    assert!(few.starts_with("no regression of `self_paced_reading_time`: 16 rows"), "{few}");
    let equal =
        message(&|table| table.rows.iter_mut().for_each(|row| row.eye_tracking[1] = Some(7.0)));
    assert_eq!(
        equal,
        "no regression of `RTfirstpass`: 58 rows have all values, whose times are all equal"
    );
    let large = message(&|table| table.rows[0].eye_tracking[2] = Some(1e300));
    assert!(large.ends_with("of which some are too large to compute with"), "{large}");
    let large = message(&|table| table.rows[0].length = Some(1e300));
    assert!(large.ends_with("of which some are too large to compute with"), "{large}");
    let known = message(&|table| {
        table.rows.iter_mut().for_each(|row| row.eye_tracking[3] = row.length.map(|l| 9.0 * l))
    });
    assert!(known.ends_with("whose times follow from the other predictors alone"), "{known}");
}

#[test]
fn models_and_tokenizers_that_do_not_suit_are_refused() {
    let (Golden { tokenizers, .. }, table) = (golden(), made_up());
    let json = &tokenizers["begin"];
    let refused = |model: &str, backend, table: &ReadingTable, tokenizer: &OfFolder| {
        let mode = ReadingMode::Published;
        outcome(&model_fixture(model), backend, mode, table, tokenizer).unwrap_err().to_string()
    };
    let whole = tokenizer(json);
    for (model, backend) in [
        ("roberta", ChallengeBackend::Causal),
        ("gpt2", ChallengeBackend::Mlm),
        ("t5", ChallengeBackend::Mntp),
        ("gpt2", ChallengeBackend::EncDecMask),
    ] {
        let message = refused(model, backend, &table, &whole);
        let expected = format!("the back end {} cannot score models of the family", backend.name());
        assert!(message.starts_with(&expected), "{message}");
    }
    let mut without_mask = json.clone();
    without_mask["added_tokens"].as_array_mut().unwrap().retain(|token| token["id"] != 3);
    without_mask["model"]["vocab"].as_object_mut().unwrap().remove("<mask>");
    without_mask["model"]["vocab"]["x"] = json!(3);
    let message = refused("roberta", ChallengeBackend::Mlm, &table, &tokenizer(&without_mask));
    assert!(message.starts_with("the tokenizer has no mask token"), "{message}");
    let row = |context: &str, word: &str| {
        let mut table = table.clone();
        table.rows[2].word.context = context.to_owned();
        table.rows[2].word.word = word.to_owned();
        table
    };
    // Bytes that the vocabulary lacks are dropped.
    let causal = ChallengeBackend::Causal;
    let message = refused("gpt2", causal, &row("ab", "?"), &whole);
    assert!(message.ends_with("line 4: \"?\" has no token to predict"), "{message}");
    let message = refused("gpt2", causal, &row("?", "ab"), &tokenizer(&tokenizers["plain"]));
    assert!(
        message.ends_with("line 4: the context \"?\" has no token to predict from"),
        "{message}"
    );
    let message = refused("gpt2", causal, &row(&"a ".repeat(12), "ab"), &whole);
    assert!(message.starts_with("a text has 25 tokens, more than the 16 positions"), "{message}");
}

/// What the pipeline of 2025 found on the whole table.
#[derive(Deserialize)]
struct Official {
    report: String,
    predictive_power: Vec<OfficialRegression>,
    predictive_power_spillover: Vec<OfficialRegression>,
    pred: Vec<f64>,
    prev_pred: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct OfficialRegression {
    #[serde(rename = "Predicted variable")]
    time: String,
    #[serde(rename = "R2")]
    r_squared: f64,
    #[serde(rename = "Change in R2 from baseline")]
    change: f64,
}

/// The largest difference of R² and of its change.
fn regression_difference(score: &ReadingScore, official: &Official) -> f64 {
    let of_time = |(index, found): (usize, &ReadingRegression)| {
        let all = match index {
            4 => &official.predictive_power_spillover,
            _ => &official.predictive_power,
        };
        let expected = all.iter().find(|of| of.time == found.time).unwrap();
        let change = found.r_squared_with - found.r_squared_without;
        let of_change = (change - expected.change).abs();
        of_change.max((found.r_squared_with - expected.r_squared).abs())
    };
    score.regressions.iter().enumerate().map(of_time).fold(0.0, f64::max)
}

#[test]
#[ignore = "needs reading_data.csv and the pipeline's answers"]
fn the_whole_table_is_that_of_the_pipeline() {
    let data = std::env::var_os("BABYLLAMA_DATA")
        .expect("BABYLLAMA_DATA names the folder with eval2026/full_eval/reading");
    let data = PathBuf::from(data).join("eval2026");
    let table = read_table(&data.join("full_eval/reading/reading_data.csv")).unwrap();
    assert_eq!(table.rows.len(), 1726);
    assert_eq!(table.rows.iter().filter(|row| row.previous.is_none()).count(), 206);
    let models = data.join("golden/models");
    for (tokenizer, model, backend) in [
        ("llama", "llama", ChallengeBackend::Causal),
        ("llama-space", "llama", ChallengeBackend::Causal),
        ("roberta", "roberta", ChallengeBackend::Mlm),
        ("roberta", "roberta", ChallengeBackend::Mntp),
    ] {
        let name = format!("golden/reading.{tokenizer}.{}.json", backend.name());
        let official = std::fs::read(data.join(name)).unwrap();
        let official: Official = serde_json::from_slice(&official).unwrap();
        let read = OfFolder(Tokenizer::from_folder(&models.join(tokenizer)).unwrap());
        let mode = ReadingMode::Published;
        let found = outcome(&models.join(model), backend, mode, &table, &read).unwrap();
        let expected: Vec<(f64, Option<f64>)> =
            official.pred.iter().copied().zip(official.prev_pred.iter().copied()).collect();
        let surprisal = difference(&found.surprisals, &expected);
        let of_ours = regression_difference(&found.score, &official);
        let theirs: Vec<RowSurprisal> =
            expected.iter().map(|&(word, previous)| RowSurprisal { word, previous }).collect();
        let of_theirs =
            regression_difference(&ReadingScore::of(&table, &theirs).unwrap(), &official);
        assert!(surprisal < 1e-5, "{surprisal}: {tokenizer}, {backend:?}");
        assert!(of_ours < 1e-7, "{of_ours}: {tokenizer}, {backend:?}");
        assert!(of_theirs < 1e-7, "{of_theirs}: {tokenizer}, {backend:?}");
        let rows: Vec<usize> = found.score.regressions.iter().map(|of| of.rows).collect();
        assert_eq!(rows, [1696, 1696, 1696, 1696, 1496]);
        assert_eq!(report(&found.score), official.report);
        assert!(predictions(&found.surprisals).contains("\"prev_pred\": NaN}"));
    }
}
