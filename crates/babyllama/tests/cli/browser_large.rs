//! The page of a long training of many models in a browser.

use std::fmt::Write;

use serde_json::json;

use super::browser::{browser, check_drawn};
use super::common::Workspace;

const MODELS: usize = 20;
/// A model's, so that all have a million.
const LINES: usize = 50_000;
/// Steps between evaluations.
const EVERY: usize = 1000;

/// The bytes that a page may have, and the processor's time that a reader may wait for it, in
/// seconds.
const LARGEST: usize = 15_000_000;
const LONGEST: f64 = 3.0;

/// The log of a model, with a highest and a lowest loss of its own.
fn log(model: usize) -> String {
    let mut log = String::new();
    for step in 1..=LINES - LINES / EVERY {
        let noise = (step * 7919 + model * 104_729) % 1000;
        let loss = match step {
            12_345 => 90.0 + model as f64,
            23_456 => 0.25 + model as f64 / 1000.0,
            _ => 3.0 + 5.0 / (1.0 + step as f64 / 2000.0) + noise as f64 / 1000.0,
        };
        let epoch = step as f64 / 5000.0;
        let rate = 1e-3 * (1.0 - step as f64 / LINES as f64);
        let norm = 0.5 + noise as f64 / 500.0;
        let seconds = 0.1 + noise as f64 / 1e5;
        writeln!(
            log,
            "{{\"event\":\"step\",\"step\":{step},\"epoch\":{epoch},\"loss\":{loss},\
             \"cross_entropy\":{loss},\"kl\":{norm},\"learning_rate\":{rate},\
             \"gradient_norm\":{norm},\"tokens\":4096,\"seconds\":{seconds}}}"
        )
        .unwrap();
        if step % EVERY == 0 {
            writeln!(
                log,
                "{{\"event\":\"evaluation\",\"step\":{step},\"epoch\":{epoch},\
                 \"cross_entropy\":{loss},\"seconds\":1}}"
            )
            .unwrap();
        }
    }
    log
}

/// `cargo test --release -p babyllama --test cli -- --ignored a_million_lines`
#[test]
#[ignore = "writes and reads 200 MB"]
fn a_million_lines_of_twenty_models_are_a_page_that_opens_soon() {
    let Some(mut browser) = browser() else { return };
    let workspace = Workspace::new();
    let names: Vec<String> = (0..MODELS).map(|model| format!("model-{model:02}")).collect();
    for (model, name) in names.iter().enumerate() {
        workspace.write(&format!("runs/long/models/{name}/metrics.jsonl"), log(model));
    }
    let sections: String = names.iter().map(|name| format!("[models.{name}]\n")).collect();
    workspace.write("runs/long/recipe.toml", format!("name = \"long\"\n{sections}"));
    workspace.babyllama("report runs/long").done();
    let page = workspace.path("runs/long/report.html");
    let size = std::fs::metadata(&page).unwrap().len() as usize;
    assert!(size < LARGEST, "{size} bytes");
    browser.dress(1280, "light");
    browser.open(&page);
    check_drawn(&mut browser);
    let curves = browser.value("report.charts.map(({ data }) => data.series.length)");
    assert_eq!(curves, json!(vec![MODELS; 7]));
    let extremes = browser.value(
        "report.charts.find(({ figure }) => figure.id === 'training-loss').data.series \
         .map(({ y }) => [Math.max(...y), Math.min(...y)])",
    );
    let expected = |model| json!([90.0 + model as f64, 0.25 + model as f64 / 1000.0]);
    for (model, found) in extremes.as_array().unwrap().iter().enumerate() {
        let [found, expected] = [found, &expected(model)]
            .map(|pair| [0, 1].map(|index: usize| pair[index].as_f64().unwrap()));
        assert_eq!(found, expected, "{}", names[model]);
    }
    // By the first call the browser begins to count. The least of three counts: what disturbs a
    // measurement makes it longer.
    browser.seconds_of_work();
    let mut opened = || {
        browser.value("void (window.isOld = true)");
        browser.call("Page.reload", json!({}));
        browser.until("!window.isOld && document.readyState === 'complete'");
        browser.until("report.charts.every((chart) => chart.plot)");
        browser.seconds_of_work()
    };
    let times: Vec<f64> = (0..3).map(|_| opened()).collect();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{size} bytes; opened in {times:.2?} s of the processor");
    assert!(0.1 < least && least < LONGEST, "{times:?} s");
    assert_eq!(browser.problems, Vec::<String>::new());
    assert!(
        browser.requests.iter().all(|one| one.starts_with("file://") || one.starts_with("data:"))
    );
}
