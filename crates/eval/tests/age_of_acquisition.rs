//! Age of acquisition against transformers and scikit-learn (`tools/golden/aoa.py`), and against
//! the golden values of the real word list, which is not in the repository: `BABYLLAMA_DATA=FOLDER
//! cargo test --release -p eval --test age_of_acquisition -- --ignored`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Device;
use engine::cpu::Cpu;
use eval::Scorer;
use eval::age_of_acquisition::{
    AgeScore, Category, Context, MeanSurprisal, Observation, Surprisals, WordList, predict_ages,
    score_as_published, score_words,
};
use model::hugging_face;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    surprisal: SurprisalCase,
    regressions: Vec<RegressionCase>,
}

#[derive(Deserialize)]
struct SurprisalCase {
    sentences: Vec<Vec<u32>>,
    /// The tokens of each word without and with a space before it.
    words: BTreeMap<String, Vec<Vec<u32>>>,
    wanted: Vec<Vec<String>>,
    models: BTreeMap<String, BTreeMap<String, (f64, u64)>>,
}

#[derive(Deserialize)]
struct RegressionCase {
    surprisals: BTreeMap<String, f64>,
    score: AgeScore,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("fixtures/aoa.json")).unwrap()
}

fn fixture(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

#[test]
fn published_surprisals_are_those_of_transformers_on_padded_batches() {
    let SurprisalCase { sentences, words, wanted, models } = golden().surprisal;
    let names: Vec<&str> = words.keys().map(String::as_str).collect();
    let place = |word: &String| names.iter().position(|name| name == word).unwrap();
    let context = |(index, words): (usize, &Vec<String>)| Context {
        sentence: format!("sentence {index}"),
        words: words.iter().map(place).collect(),
    };
    let contexts: Vec<Context> = wanted.iter().enumerate().map(context).collect();
    let encode = |text: &str| match text.strip_prefix("sentence ") {
        Some(index) => sentences[index.parse::<usize>().unwrap()].clone(),
        None => {
            let forms = &words[text.trim_start()];
            if text.starts_with(' ') { forms.last().unwrap().clone() } else { forms[0].clone() }
        }
    };
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    for (name, expected) in models {
        let model =
            hugging_face::load(&fixture(&format!("../model/tests/fixtures/{name}")), &device)
                .unwrap();
        let scorer = Scorer::new(vec![&model]).unwrap();
        let found =
            score_as_published(&scorer, &contexts, &names, |text| Ok(encode(text)), |_, _| ())
                .unwrap();
        assert_eq!(found.truncated, 1);
        for (word, found) in names.iter().zip(&found.words) {
            let (mean, count) = expected[*word];
            assert_eq!(found.count, count, "{name}, {word}");
            assert!(
                (found.mean - mean).abs() < 1e-5,
                "{name}, {word}: {} instead of {mean}",
                found.mean
            );
        }
    }
}

/// Surprisals in the order of a list's words; those that are missing have no occurrence.
fn surprisals(list: &WordList, of_word: impl Fn(&str) -> Option<f64>) -> Surprisals {
    let word = |text| {
        of_word(text).map_or(MeanSurprisal::default(), |mean| MeanSurprisal { mean, count: 1 })
    };
    Surprisals { words: list.texts().into_iter().map(word).collect(), ..Default::default() }
}

#[track_caller]
fn assert_score(found: &AgeScore, expected: &AgeScore, tolerance: f64) {
    let counts =
        |score: &AgeScore| [score.n, score.n_noun, score.n_predicate, score.n_functionword];
    let errors = |score: &AgeScore| {
        [score.overall_mad, score.noun_mad, score.predicate_mad, score.functionword_mad]
    };
    assert_eq!(counts(found), counts(expected));
    for (found, expected) in errors(found).iter().zip(errors(expected)) {
        assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn errors_are_those_of_scikit_learns_regressions() {
    let list = WordList::read(&fixture("tests/fixtures/aoa_words.csv")).unwrap();
    assert_eq!((list.rows.len(), list.texts().len()), (60, 54));
    for case in golden().regressions {
        let found =
            score_words(&list, &surprisals(&list, |word| case.surprisals.get(word).copied()))
                .unwrap();
        assert_score(&found, &case.score, 1e-9);
    }
}

#[test]
fn scores_have_the_pipelines_names() {
    let list = WordList::read(&fixture("tests/fixtures/aoa_words.csv")).unwrap();
    let found =
        score_words(&list, &surprisals(&list, |word| Some(word.bytes().map(f64::from).sum())))
            .unwrap();
    let json = serde_json::to_value(found).unwrap();
    let names = [
        "overall_mad",
        "n",
        "noun_mad",
        "n_noun",
        "predicate_mad",
        "n_predicate",
        "functionword_mad",
    ];
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, [&names[..], &["n_functionword"]].concat());
}

fn real_list() -> WordList {
    let folder =
        std::env::var_os("BABYLLAMA_DATA").expect("BABYLLAMA_DATA names the folder with eval/aoa");
    WordList::read(&PathBuf::from(folder).join("eval/aoa/word_list.csv")).unwrap()
}

#[test]
#[ignore = "needs the word list"]
fn the_real_list_has_its_591_rows() {
    let list = real_list();
    let count = |category| list.rows.iter().filter(|row| row.category == category).count();
    let counts = [Category::Noun, Category::Predicate, Category::FunctionWord].map(count);
    assert_eq!((list.rows.len(), list.texts().len(), counts), (591, 577, [322, 167, 102]));
    let mean = list.rows.iter().map(|row| row.age).sum::<f64>() / 591.0;
    assert!((mean - 25.310194).abs() < 1e-6);
    assert_eq!(list.rows.iter().map(|row| row.frequency).sum::<u64>(), 8_424_723);
}

#[test]
#[ignore = "needs the word list"]
fn the_real_list_has_the_original_functions_errors() {
    let list = real_list();
    let by_length =
        score_words(&list, &surprisals(&list, |word| Some(word.chars().count() as f64))).unwrap();
    let [n, n_noun, n_predicate, n_functionword] = [591, 322, 167, 102];
    let expected = AgeScore {
        overall_mad: 2.069166568892289,
        noun_mad: 2.001514253845736,
        predicate_mad: 1.840466036336943,
        functionword_mad: 2.657176709889679,
        n,
        n_noun,
        n_predicate,
        n_functionword,
    };
    assert_score(&by_length, &expected, 1e-11);

    let observation = |(index, row): (usize, &eval::age_of_acquisition::Word)| Observation {
        age: row.age,
        category: row.category,
        concreteness: row.concreteness,
        frequency: row.frequency,
        surprisal: 5.0 + (index % 7) as f64,
    };
    let rows: Vec<Observation> = list.rows.iter().enumerate().map(observation).collect();
    let predictions = predict_ages(&rows).unwrap();
    let error = |category: Option<Category>| {
        let chosen = rows
            .iter()
            .zip(&predictions)
            .filter(|(row, _)| category.is_none_or(|c| c == row.category));
        let errors: Vec<f64> = chosen.map(|(row, age)| (row.age - age).abs()).collect();
        errors.iter().sum::<f64>() / errors.len() as f64
    };
    let expected = [
        (None, 2.06863559637527),
        (Some(Category::Noun), 1.998821967099433),
        (Some(Category::Predicate), 1.840489137872077),
        (Some(Category::FunctionWord), 2.662561549285593),
    ];
    for (category, expected) in expected {
        assert!((error(category) - expected).abs() < 1e-11, "{category:?}: {}", error(category));
    }
}
