//! Models with several seeds: their means, and differences from the models without teachers.

use super::common::Workspace;

const RECIPE: &str = r#"
[corpus]
words = 3000
validation_fraction = 0.2
[tokenizer]
vocab_size = 300
[defaults]
architecture = "llama"
hidden_size = 16
intermediate_size = 24
num_layers = 1
num_heads = 2
[defaults.train]
epochs = 2
batch_size = 8
sequence_length = 16
learning_rate = 3e-3
[models.teacher]
seeds = [4, 5]
[models.plain]
seeds = [1, 2, 3]
[models.student]
seeds = [1, 2, 3]
[models.student.distill]
teachers = ["teacher"]
signal = "hidden"
"#;

#[test]
fn seeds_have_means_differences_and_costs() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE);
    let run = workspace.babyllama("run small.toml").done();
    let caption = "Differences are from plain, seed by seed";
    let closing = run.stdout.split_once("Over seeds.").expect("a table over seeds").1;
    assert!(closing.contains(caption), "{closing}");
    workspace.babyllama("report runs/small --figures figures").done();
    let table = workspace.text("figures/over-seeds.md");
    let row = |name: &str| -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(&format!("| {name} ")));
        line.unwrap().split('|').map(|cell| cell.trim().replace("**", "")).collect()
    };
    let loss = |model: &str| {
        workspace.json(&format!("runs/small/evaluation/{model}.json"))["held_out_loss"]
            .as_f64()
            .unwrap()
    };
    let difference = |seed| loss(&format!("student-{seed}")) - loss(&format!("plain-{seed}"));
    let mean = [1, 2, 3].map(difference).iter().sum::<f64>() / 3.0;
    let student = row("student");
    assert!(student[4].starts_with(&format!("{mean:+.3} ± ")), "{mean}: {student:?}");
    // One that is compared with itself, or shares no seed, differs from nothing.
    assert_eq!((&row("plain")[4][..], &row("teacher")[4][..]), ("-", "-"));
    for text in [workspace.text("runs/small/table.md"), workspace.text("runs/small/report.html")] {
        assert!(text.contains(caption) && text.contains(&student[3]), "{text}");
    }
    let exposure = workspace.json("runs/small/exposure.json");
    let flops = |model: &str, key: &str| exposure[model][key].as_f64().unwrap();
    let own = |model: &str| flops(model, "flops");
    let all = own("student-1") + own("teacher-4") + own("teacher-5");
    assert_eq!(flops("student-1", "flops_with_teachers"), all);
    // A student's work has what its teachers read for it.
    assert!(own("student-1") > own("plain-1"));
    assert_eq!(flops("plain-1", "flops_with_teachers"), own("plain-1"));
}

#[test]
fn one_model_alone_has_no_table_over_seeds() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE);
    let run = workspace.babyllama("run small.toml --only plain-1").done();
    assert!(!run.stdout.contains("Over seeds."), "{}", run.stdout);
    // Of what is there so far, a report shows the groups that have results of two seeds.
    workspace.babyllama("run small.toml --only plain-2").done();
    workspace.babyllama("report runs/small --figures figures").done();
    let table = workspace.text("figures/over-seeds.md");
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert!(rows.len() == 1 && rows[0].starts_with("| plain |     2 |"), "{table}");
}

#[test]
fn models_that_are_named_together_have_a_table_over_their_seeds() {
    let workspace = Workspace::new();
    workspace.write("small.toml", RECIPE);
    let named = "small.toml --only student-2,plain";
    let plan = workspace.babyllama(&format!("plan {named}")).done();
    for (model, is_planned) in [("plain-3", true), ("teacher-5", true), ("student-1", false)] {
        assert_eq!(plan.stdout.contains(model), is_planned, "{model}: {}", plan.stdout);
    }
    let run = workspace.babyllama(&format!("run {named}")).done();
    let closing = run.stdout.split_once("Over seeds.").expect("a table over seeds").1;
    let row = closing.lines().find(|line| line.starts_with("plain ")).expect("a row of plain");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert!(cells[1] == "3" && !closing.contains("student"), "{closing}");
    assert!(cells.last().unwrap().parse::<f64>().is_err(), "FLOPs have a unit: {row}");
    // Teachers are trained, and not scored; what is about the whole run is not written.
    let models = ["plain-1", "plain-2", "plain-3", "student-2", "teacher-4", "teacher-5"];
    assert_eq!(workspace.names("runs/small/models"), models);
    let scores = workspace.names("runs/small/evaluation");
    assert!(!scores.iter().any(|name| name.starts_with("teacher")), "{scores:?}");
    let written = workspace.names("runs/small");
    assert!(!written.iter().any(|name| name == "table.md" || name == "exposure.json"));
    let rest = workspace.babyllama("plan small.toml --only plain").done();
    assert!(rest.stdout.lines().filter(|line| line.ends_with(" done")).count() == 3);
    let refused = workspace.babyllama("run small.toml --only plain,studnt").refused(2);
    refused.names(&["--only studnt", "student"]);
}
