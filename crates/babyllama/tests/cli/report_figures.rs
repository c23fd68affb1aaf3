//! Figures and tables of `report`: one color for each model, losses that compare, and folders that
//! stay as they are.

use std::collections::BTreeMap;

use super::common::{STUDENT, TEACHER, Workspace};

/// The color that a figure's legend, which is drawn last, has for each of some names.
fn colors(svg: &str, names: &[&str]) -> BTreeMap<String, String> {
    let (mut found, mut last) = (BTreeMap::new(), String::new());
    for element in svg.split('<').skip(1) {
        let painted = ["fill=\"", "stroke=\""].iter().find_map(|attribute| {
            let value = element.split(attribute).nth(1)?.split('"').next()?;
            (value != "none").then(|| value.to_owned())
        });
        match element.starts_with("text") {
            true => {
                let text = element.split('>').nth(1).unwrap_or_default().trim();
                if names.contains(&text) {
                    found.insert(text.to_owned(), last.clone());
                }
            }
            false => last = painted.unwrap_or(last),
        }
    }
    found
}

#[test]
fn a_model_has_one_color_in_all_figures_of_a_folder() {
    let workspace = Workspace::trained();
    // Figures have the models in orders of their own, and not all of them have all.
    let recipe = workspace.text("small.toml").replace("[models.teacher", "[models.zeta");
    workspace.write("other.toml", recipe.replace("[\"teacher\"]", "[\"zeta\"]"));
    workspace.babyllama("run other.toml --output runs/other").done();
    workspace.babyllama("report runs/other runs/small --output p.html --figures figures").done();
    let names = ["other/zeta", "other/student", "small/teacher", "small/student"];
    let mut of_name: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    // A few points have their names beside them instead of a legend.
    let has_legend = |file: &&String| file.ends_with(".svg") && !file.contains("against");
    for file in workspace.names("figures").iter().filter(has_legend) {
        for (name, color) in colors(&workspace.text(&format!("figures/{file}")), &names) {
            of_name.entry(name).or_default().insert(file.clone(), color);
        }
    }
    assert_eq!(of_name.len(), 4, "{of_name:?}");
    let mut seen = Vec::new();
    for (name, files) in &of_name {
        let is_student = name.ends_with("student");
        // Curves and bars; the divergence of students alone.
        assert!(files.len() >= if is_student { 5 } else { 4 }, "{name}: {files:?}");
        assert!(files.keys().any(|file| file.contains("by-source")), "{name}: {files:?}");
        let first = files.values().next().unwrap();
        assert!(files.values().all(|color| color == first), "{name}: {files:?}");
        assert!(!seen.contains(first), "{name} has the color of another: {of_name:?}");
        seen.push(first.clone());
    }
}

#[test]
fn losses_of_other_tokenizers_or_texts_are_marked_and_not_drawn_together() {
    let workspace = Workspace::trained();
    workspace.babyllama("run small.toml --set student.train.seed=3 --output runs/seed").done();
    workspace
        .babyllama("run small.toml --set tokenizer.min_frequency=100 --output runs/fewer")
        .done();
    let rule = "Held-out losses compare only on the same text";
    workspace.babyllama("report runs/small runs/seed --output same.html").done();
    assert!(!workspace.text("same.html").contains(rule), "text and tokenizer are the same");
    let all = "report runs/small runs/seed runs/fewer --output all.html --figures figures";
    workspace.babyllama(all).done();
    let page = || workspace.text("all.html").replace("&#x2f;", "/");
    let left_out = "left out are fewer/teacher, fewer/student (another tokenizer).";
    assert!(page().contains(left_out), "{rule}: {}", page().contains(rule));
    assert!(page().contains("Against a, b: another tokenizer."));
    assert!(page().contains("Models that are apart in held-out loss are so here."));
    let results = workspace.text("figures/results.md");
    let letter = |model: &str| {
        let row = results.lines().find(|line| line.contains(model)).unwrap();
        row.split('|').nth(4).unwrap().trim().chars().last().unwrap()
    };
    assert_eq!((letter("small/student"), letter("seed/teacher")), ('a', 'a'), "{results}");
    assert_eq!(letter("fewer/student"), 'b', "{results}");
    let fit = workspace
        .names("figures")
        .into_iter()
        .find(|name| name.ends_with("against-held-out-loss.csv"));
    let fit = workspace.text(&format!("figures/{}", fit.unwrap()));
    assert!(fit.contains("seed/student") && !fit.contains("fewer/"), "{fit}");
    let compared = workspace.babyllama("compare runs/small runs/fewer").done().stdout;
    assert!(compared.contains(rule) && compared.contains("b: another tokenizer"), "{compared}");
    let compared = workspace.babyllama("compare runs/small runs/seed").done().stdout;
    assert!(!compared.contains(rule), "{compared}");
    // A run of an earlier version has no such records.
    for model in ["teacher", "student"] {
        let place = format!("runs/fewer/evaluation/{model}.json");
        let mut scores = workspace.json(&place);
        scores.as_object_mut().unwrap().remove("held_out").unwrap();
        workspace.write(&place, scores.to_string());
    }
    workspace.babyllama(all).done();
    assert!(page().contains(left_out), "its stages record them");
    for record in ["corpus", "tokens", "evaluate-teacher", "evaluate-student"] {
        workspace.write(&format!("runs/fewer/stages/{record}.json"), "{}");
    }
    std::fs::remove_file(workspace.path("runs/fewer/tokens/validation.bin")).unwrap();
    workspace.babyllama("report runs/small runs/fewer --output all.html").done();
    assert!(page().contains("text and tokenizer are the same is not recorded"));
}

#[test]
fn models_that_answered_other_tasks_are_named() {
    let workspace = Workspace::trained();
    for file in ["student.json", "student.pairs-1.jsonl"] {
        let place = format!("runs/small/evaluation/{file}");
        let text = workspace.text(&place).replace("\"order\"", "\"sequence\"");
        workspace.write(&place, text);
    }
    workspace.babyllama("report runs/small --output page.html").done();
    let page = workspace.text("page.html");
    // Of equal counts the student is the one that others are compared with.
    let reason = "teacher (it lacks the tasks sequence, it has other tasks: order)";
    assert!(page.contains(reason), "{:?}", page.find("only answers to the same items"));
}

#[test]
fn an_evaluation_has_parameters_and_samples() {
    let workspace = Workspace::trained();
    workspace.write("data/blimp_filtered/order.jsonl", workspace.text("pairs/order.jsonl"));
    let command = format!("evaluate all {TEACHER} {STUDENT} --data data --output all");
    let text = "--text text --sequence-length 16";
    workspace.babyllama(&format!("{command} {text}")).done();
    let scores = workspace.json("runs/small/evaluation/student.json");
    let written = workspace.json("all/student/samples.json");
    assert_eq!(written, scores["samples"], "the same prompts, tokens and draws as in a run");
    let again = workspace.bytes("all/student/samples.json");
    let page = workspace.text("all/report.html");
    let count = scores["parameters"].as_u64().unwrap();
    let grouped = format!("{},{:03}", count / 1000, count % 1000);
    assert!(page.contains(&grouped), "{grouped}");
    assert!(page.contains("student, the likeliest tokens") && page.contains("The little girl"));
    assert!(!page.contains("compare only on the same text"), "one text, one tokenizer");
    workspace.babyllama(&format!("{command} {text}")).done();
    assert_eq!(workspace.bytes("all/student/samples.json"), again);
    // Where the model is gone, the page names that.
    workspace.replace("all/student/model.json", "small/models/student", "gone/student");
    std::fs::remove_file(workspace.path("all/student/samples.json")).unwrap();
    workspace.babyllama("report all").done();
    let page = workspace.text("all/report.html");
    assert!(page.contains("Not here: parameters of student") && page.contains("gone"));
    assert!(page.contains("Not here: samples of student"));
}

#[test]
fn a_part_of_a_run_names_the_missing_words() {
    let workspace = Workspace::new();
    workspace.babyllama("run small.toml --only teacher").done();
    let page = workspace.text("runs/small/report.html");
    assert!(page.contains("Not here: words seen"), "exposure.json is not there");
    assert!(page.contains("exposure.json is not there; a run writes it when all its models"));
}

#[test]
fn figures_go_to_a_folder_of_their_own() {
    let workspace = Workspace::trained();
    workspace.write("runs/sweeps/s/store.txt", "sqlite:store.db\n");
    let before = workspace.names("runs/small");
    for (folder, kind, advice) in [
        ("runs/small", "what the report is about", "--figures runs/small/figures"),
        ("runs/small/models", "a part of a run", "--figures runs/small/figures"),
        (STUDENT, "a part of a run", "--figures runs/small/figures"),
        ("text", "a corpus", "--figures text/figures"),
        ("pairs", "data of a benchmark", "--figures pairs/figures"),
        ("runs/sweeps/s", "a sweep", "--figures runs/sweeps/s/figures"),
    ] {
        let report = format!("report runs/small --output page.html --figures {folder}");
        workspace.babyllama(&report).refused(2).names(&[folder, kind]).advises(advice);
    }
    assert_eq!(workspace.names("runs/small"), before);
    assert!(!workspace.path("page.html").exists(), "refused before anything is written");
    let report = "report runs/small --output page.html --figures runs/small/figures";
    workspace.babyllama(report).done();
    workspace.babyllama(report).done();
    workspace.write("runs/small/figures/held-out-loss.svg", "<svg>mine</svg>");
    let refusal = workspace.babyllama(report).refused(1).names(&["held-out-loss.svg"]);
    refusal.advises("move that file away");
    assert_eq!(workspace.text("runs/small/figures/held-out-loss.svg"), "<svg>mine</svg>");
}

#[test]
fn answers_to_items_of_other_texts_are_not_compared() {
    let workspace = Workspace::trained();
    let pairs = workspace.text("pairs/order.jsonl");
    // As many pairs of the same name, with other words.
    workspace.write("more/pairs/order.jsonl", pairs.replace("dog", "wolf"));
    workspace.write("more/pairs/agreement.jsonl", workspace.text("pairs/agreement.jsonl"));
    workspace
        .write("other.toml", workspace.text("small.toml").replace("\"pairs\"", "\"more/pairs\""));
    workspace.babyllama("run other.toml --output runs/other").done();
    workspace.babyllama("run small.toml --set student.train.seed=3 --output runs/seed").done();
    let page = |runs: &str| {
        workspace.babyllama(&format!("report {runs} --output page.html")).done();
        workspace.text("page.html").replace("&#x2f;", "/")
    };
    let others = page("runs/small runs/other");
    let (_, left_out) = others.split_once("only answers to the same items compare: ").unwrap();
    let (models, _) = left_out.split_once(" (items with other texts)").unwrap();
    assert!(models.contains("other/student") && !models.contains('('), "{models}");
    assert!(!page("runs/small runs/seed").contains("items with other texts"));
}
