//! The page about a sweep.

use report::Figure;
use report::page::{Block, Page};
use sweep::confirm;
use sweep::report as sweep_report;

use super::common::{Search, work};

/// Titles of the figures of a page, and what it names as missing.
fn figures_and_gaps(page: &Page) -> (Vec<String>, Vec<String>) {
    let figures = page.figures().map(|figure| figure.title.clone()).collect();
    let gaps = page.blocks().filter_map(|block| match block {
        Block::Missing { what, .. } => Some(what.clone()),
        _ => None,
    });
    (figures, gaps.collect())
}

#[test]
fn a_search_has_a_page_of_figures() {
    let keys = "sampler = 'random'\nstop = { rule = 'none' }\nconfirm = { top = 2, seeds = 3 }";
    let baseline = "enqueue = [{ baseline = true, 'train.learning_rate' = 0.003 }]";
    let search = Search::new(&format!("trials = 40\n{keys}\n{baseline}"));
    let page = || sweep_report::page(&search.place()).unwrap();
    // Nothing has begun.
    let (figures, gaps) = figures_and_gaps(&page());
    assert_eq!(figures, ["History", "Results by parameter", "Parameters and results"]);
    let expected = ["the best trials", "the importance of the parameters", "the confirmation"];
    assert_eq!(gaps, expected);
    let mut sweep = search.open("s");
    work(&mut sweep);
    let name = confirm::begin(&mut sweep).unwrap();
    work(&mut search.open(&name));
    let page = page();
    let (figures, gaps) = figures_and_gaps(&page);
    let expected = [
        "History",
        "Importance of the parameters",
        "Results by parameter",
        "Parameters and results",
        "Confirmed against the search",
    ];
    assert_eq!((figures, gaps), (expected.map(str::to_owned).to_vec(), vec![]));
    let found: Vec<&Figure> = page.figures().collect();
    let [history, importance, slices, parallel, confirmed] = &found[..] else { unreachable!() };
    // The means of five seeds of `FanovaImportanceEvaluator(n_trees=64)` of Optuna 5.0.0 on these
    // trials, with the learning rate as its cumulative probability.
    let optuna = [
        ("train.warmup_ratio", 0.563),
        ("train.learning_rate", 0.255),
        ("train.batch_size", 0.009),
    ];
    for (row, (parameter, expected)) in importance.rows.iter().zip(optuna) {
        let share: f64 = row[1].parse().unwrap();
        assert!(row[0] == parameter && (share - expected).abs() < 0.03, "{:?}", importance.rows);
    }
    assert_eq!((history.rows.len(), slices.rows.len()), (40, 40));
    assert_eq!(parallel.rows.len(), 40);
    let heads = ["trial", "train.learning_rate", "train.batch_size", "train.warmup_ratio"];
    assert_eq!(parallel.columns[..4], heads);
    let labels: Vec<&str> = confirmed.rows.iter().map(|row| row[0].as_str()).collect();
    assert!(labels.len() == 3 && labels.contains(&"baseline (trial 0)"), "{labels:?}");
    let html = page.to_html();
    assert!(html.contains("By luck alone the best of 40") && html.contains("models.undistilled"));
}

#[test]
fn what_cannot_be_read_of_a_sweep_is_named_on_its_page() {
    let search = Search::new("trials = 2");
    std::fs::write(search.place().join("store.db"), "no database").unwrap();
    std::fs::remove_file(search.place().join("base.toml")).unwrap();
    let page = sweep_report::page(&search.place()).unwrap();
    let (figures, gaps) = figures_and_gaps(&page);
    assert_eq!(gaps, ["the trials", "base.toml"]);
    assert!(figures.is_empty());
    assert!(sweep_report::page(search.folder.path()).is_none(), "no sweep, no page");
    // The trials are found without the files that name them.
    let search = Search::new("trials = 2");
    std::fs::remove_file(search.place().join("store.txt")).unwrap();
    let (figures, gaps) = figures_and_gaps(&sweep_report::page(&search.place()).unwrap());
    assert!(gaps[0] == "store.txt" && figures.contains(&"History".to_owned()), "{gaps:?}");
    std::fs::write(search.place().join("sweep.toml"), "trials = ").unwrap();
    let (_, gaps) = figures_and_gaps(&sweep_report::page(&search.place()).unwrap());
    assert_eq!(gaps[0], "sweep.toml");
    assert!(sweep_report::page(&search.place().join("sweep.toml")).is_none(), "a file is no sweep");
}
