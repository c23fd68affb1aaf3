//! Scores of `report` and `compare` that do not compare: of parts of a benchmark, of other items,
//! of edited ones; and of several sets of one benchmark.

use super::common::{STUDENT, TEACHER, Workspace};

/// The tasks of the supplement with the pairs of each in the published files.
const SUPPLEMENT: [(&str, usize); 5] = [
    ("hypernym", 842),
    ("qa_congruence_easy", 64),
    ("qa_congruence_tricky", 165),
    ("subject_aux_inversion", 3867),
    ("turn_taking", 280),
];

/// A page with slashes as they are read.
fn page(workspace: &Workspace, runs: &str) -> String {
    workspace.babyllama(&format!("report {runs} --output page.html --figures figures")).done();
    workspace.text("page.html").replace("&#x2f;", "/")
}

/// Two runs of one recipe, of which the second has other texts at the place of its pairs.
fn edited_between_runs() -> Workspace {
    let workspace = Workspace::trained();
    let pairs = workspace.text("pairs/order.jsonl");
    workspace.write("pairs/order.jsonl", pairs.replace("dog", "wolf"));
    workspace.babyllama("run small.toml --output runs/edited").done();
    workspace
}

#[test]
fn a_part_of_a_benchmark_beside_the_whole_is_marked() {
    let workspace = Workspace::trained();
    let pair = workspace.text("pairs/order.jsonl").lines().next().unwrap().to_owned() + "\n";
    for (task, pairs) in SUPPLEMENT {
        workspace.write(&format!("all/supplement_filtered/{task}.jsonl"), pair.repeat(pairs));
        workspace.write(&format!("cut/supplement_filtered/{task}.jsonl"), pair.repeat(60));
    }
    for (model, data) in [(STUDENT, "all"), (TEACHER, "cut")] {
        let line = format!("evaluate all {model} --data {data} --output {data}-scores");
        workspace.babyllama(&line).done();
    }
    let page = page(&workspace, "all-scores cut-scores");
    let part = "cut-scores/teacher (BLiMP supplement, 5 of 5 tasks of another size).";
    assert!(page.contains(part), "{:?}", page.find('†'));
    let overview = workspace.names("figures").into_iter().find(|name| name.starts_with("by-the"));
    let overview = workspace.text(&format!("figures/{}", overview.unwrap()));
    let row = overview.lines().find(|line| line.starts_with("BLiMP supplement,")).unwrap();
    let cells: Vec<&str> = row.split(',').collect();
    assert!(!cells[1].contains('†') && cells[2].ends_with('†'), "{row}");
    assert!(cells[3].parse::<f64>().is_ok(), "printed scores are beside the whole: {row}");
    // The mean of the tasks, and each task.
    let tasks = workspace.names("figures").into_iter();
    let tasks = tasks.filter(|name| name.starts_with("blimp-supplement") && name.ends_with(".csv"));
    let mut tasks = tasks.map(|name| workspace.text(&format!("figures/{name}")));
    let tasks = tasks.find(|table| table.contains("\nmean,")).unwrap();
    for name in ["hypernym", "mean"] {
        let row = tasks.lines().find(|line| line.starts_with(name)).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        assert!(!cells[2].contains('†') && cells[3].ends_with('†'), "{row}");
    }
}

#[test]
fn both_sets_of_one_benchmark_are_on_the_page() {
    let workspace = Workspace::trained();
    workspace.copy("pairs", "others");
    let pairs = workspace.text("pairs/order.jsonl");
    workspace.write("others/order.jsonl", pairs.replace("dog", "wolf"));
    let recipe = workspace.text("small.toml").replace("[\"pairs\"]", "[\"pairs\", \"others\"]");
    workspace.write("two.toml", recipe);
    let closing = workspace.babyllama("run two.toml --output runs/two").done().stdout;
    let page = page(&workspace, "runs/two");
    assert!(!page.contains("class=\"missing\""), "nothing is left out");
    let results = workspace.text("figures/results.csv");
    let heads = csv_fields(results.lines().next().unwrap());
    for set in ["minimal pairs, others", "minimal pairs, pairs"] {
        assert!(closing.contains(set.rsplit(' ').next().unwrap()), "{closing}");
        let column = heads.iter().position(|head| head == set);
        let column = column.unwrap_or_else(|| panic!("{set}: {results}"));
        for row in results.lines().skip(1) {
            assert!(csv_fields(row)[column].ends_with('%'), "{set}: {results}");
        }
        for part in [" by task", " by group", ": the hardest items"] {
            assert!(page.contains(&format!("{set}{part}")), "{set}{part}");
        }
        let place = set.replace(", ", " of ");
        assert!(
            page.contains(&format!("Of models with several sets of pairs: {place}.")),
            "{place}"
        );
    }
}

/// The fields of a line of CSV.
fn csv_fields(line: &str) -> Vec<String> {
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            letter => fields.last_mut().unwrap().push(letter),
        }
    }
    fields
}

#[test]
fn pairs_that_were_edited_after_the_scoring_are_not_shown_as_scored() {
    let workspace = Workspace::trained();
    let evaluate = format!("evaluate blimp {STUDENT} --data pairs --output scores");
    workspace.babyllama(&evaluate).done();
    let folders = ["runs/small", "scores"];
    for folder in folders {
        assert!(page(&workspace, folder).contains("the hardest items"), "{folder}");
    }
    let pairs = workspace.text("pairs/order.jsonl");
    workspace.write("pairs/README.md", "notes");
    assert!(page(&workspace, "runs/small").contains("the hardest items"), "notes are no items");
    workspace.write("pairs/order.jsonl", pairs.replace("dog", "wolf"));
    let why = "pairs has other items now than when they were scored.";
    for folder in folders {
        let page = page(&workspace, folder);
        assert!(page.contains(why) && !page.contains("the hardest items"), "{folder}");
    }
    // Runs of earlier versions have no hashes beside their scores, but in the record of the stage.
    let place = "runs/small/evaluation/student.json";
    let mut scores = workspace.json(place);
    scores.as_object_mut().unwrap().remove("items").unwrap();
    workspace.write(place, scores.to_string());
    assert!(page(&workspace, "runs/small").contains(why));
}

#[test]
fn scores_of_other_texts_at_one_place_are_not_compared() {
    let workspace = edited_between_runs();
    let compared = workspace.babyllama("compare runs/small runs/edited").done().stdout;
    let row = compared.lines().find(|line| line.contains("minimal pairs %")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert!(matches!(cells[cells.len() - 4..], ["a", _, "b", "-"]), "{row}");
    assert!(compared.contains("Scores compare only on the same items"), "{compared}");
    let [one, other] =
        ["small", "edited"].map(|run| format!("runs/{run}/evaluation/student.pairs-1.jsonl"));
    let refused = workspace.babyllama(&format!("evaluate compare {one} {other}")).refused(1);
    refused.names(&["items of other texts"]).advises("the same files");
    workspace.babyllama(&format!("evaluate compare {one} {one}")).done();
    let both = page(&workspace, "runs/small runs/edited");
    assert!(both.contains("items with other texts"));
    // Letters as `compare` has them, no best, and no line through scores of both.
    assert!(both.contains("Scores compare only on the same items, here those of one letter"));
    for name in ["results.csv", "by-the-rules-of-2024.csv"] {
        let table = workspace.text(&format!("figures/{name}"));
        let row = table.lines().rev().find(|line| line.contains("student") || line.contains(" b"));
        assert!(row.is_some_and(|row| row.contains(" b")), "{name}: {table}");
    }
    let latex = workspace.text("figures/results.tex");
    let of_items = latex.lines().filter(|line| line.contains("\\% a") || line.contains("\\% b"));
    assert!(of_items.clone().count() >= 4, "{latex}");
    assert!(of_items.clone().all(|line| !line.contains("\\% a}")), "{latex}");
    // The base of the differences is that of the marks.
    let files = workspace.names("figures").into_iter();
    let mut files = files.filter(|name| name.starts_with("paired-") && name.ends_with(".csv"));
    let differences = workspace.text(&format!("figures/{}", files.next().unwrap()));
    let tasks = workspace.text("figures/minimal-pairs-by-task.csv");
    let base = csv_fields(tasks.lines().next().unwrap())[2].clone();
    for line in differences.lines().skip(1) {
        assert_eq!(csv_fields(line)[2], base, "{differences}");
    }
}

#[test]
fn items_are_read_where_they_were_not_edited() {
    let workspace = Workspace::trained();
    workspace.copy("pairs", "others");
    for (model, data) in [(STUDENT, "pairs"), (TEACHER, "others")] {
        let line = format!("evaluate blimp {model} --data {data} --output {data}-scores");
        workspace.babyllama(&line).done();
    }
    let pairs = workspace.text("pairs/order.jsonl");
    workspace.write("pairs/order.jsonl", pairs.replace("dog", "wolf"));
    assert!(page(&workspace, "pairs-scores others-scores").contains("the hardest items"));
    workspace.write("others/order.jsonl", pairs.replace("dog", "fox"));
    assert!(!page(&workspace, "pairs-scores others-scores").contains("the hardest items"));
}

#[test]
fn models_of_one_evaluation_stand_in_the_order_of_the_command_and_the_best_is_bold() {
    let workspace = Workspace::trained();
    let data = "blimp_filtered";
    workspace.copy("pairs", &format!("data/{data}"));
    let all = format!("evaluate all {TEACHER} {STUDENT} --data data --output scores");
    workspace.babyllama(&all).done();
    page(&workspace, "scores");
    let overview = workspace.text("figures/by-the-rules-of-2024.csv");
    assert!(overview.lines().next().unwrap().starts_with(",teacher,student"), "{overview}");
    let bold = |text: &str, mark: &str| text.lines().any(|line| line.contains(mark));
    let markdown = workspace.text("scores/table.md");
    assert!(bold(&markdown, "**"), "{markdown}");
    assert!(bold(&workspace.text("figures/by-the-rules-of-2024.tex"), "\\textbf{"));
    assert!(!markdown.contains("as printed in their papers") || markdown.contains("BabyLlama"));
}

#[test]
fn losses_that_are_no_numbers_are_named() {
    let workspace = Workspace::trained();
    let place = "runs/small/models/student/metrics.jsonl";
    let log = workspace.text(place);
    let lines = log.lines().map(|line| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        if record["event"] == "step" {
            record["loss"] = serde_json::Value::Null;
        }
        format!("{record}\n")
    });
    workspace.write(place, lines.collect::<String>());
    let page = page(&workspace, "runs/small");
    assert!(page.contains("losses of student"), "{:?}", page.find("losses of"));
    // The steps are still known.
    let status = workspace.babyllama("status runs/small").done().stdout;
    let row = status.lines().find(|line| line.starts_with("student")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    let last = log.lines().rev().find(|line| line.contains("\"event\":\"step\"")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert!(cells.contains(&last["step"].to_string().as_str()), "{row}");
}

#[test]
fn a_training_outside_a_run_has_its_parameters() {
    let workspace = Workspace::trained();
    let parameters = workspace.json("runs/small/evaluation/student.json")["parameters"].clone();
    for name in ["config.json", "model.safetensors"] {
        let file = format!("final/{name}");
        let bytes = workspace.bytes(&format!("runs/small/models/student/{file}"));
        workspace.write(&format!("alone/{file}"), bytes);
    }
    let log = workspace.bytes("runs/small/models/student/metrics.jsonl");
    workspace.write("alone/metrics.jsonl", log);
    page(&workspace, "alone");
    let results = workspace.text("figures/results.csv");
    let cells = csv_fields(results.lines().nth(1).unwrap());
    assert_eq!(cells[1].replace(',', ""), parameters.to_string(), "{results}");
    // A teacher that is not scored, of a run that was cut, too.
    std::fs::remove_file(workspace.path("runs/small/evaluation/teacher.json")).unwrap();
    page(&workspace, "runs/small");
    let results = workspace.text("figures/results.csv");
    let teacher = results.lines().find(|line| line.starts_with("teacher")).unwrap();
    assert!(csv_fields(teacher)[1].replace(',', "").parse::<u64>().is_ok(), "{teacher}");
}
