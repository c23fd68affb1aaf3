//! Results are kept as long as all that they follow from is the same, and no longer.

use super::common::{STUDENT, TEACHER, Workspace};

/// Scores the student's copy, and returns whether anything was scored.
fn scores(workspace: &Workspace, more: &str) -> bool {
    let line = format!("evaluate all model --data data --text held --output results {more}");
    let finished = workspace.babyllama(&format!("{line} --sequence-length 16")).done();
    finished.stderr.contains("accuracy") || finished.stderr.contains("held-out loss")
}

#[test]
fn a_score_follows_from_what_is_read_and_from_nothing_else() {
    let workspace = Workspace::trained();
    workspace.copy(STUDENT, "model");
    workspace.copy("pairs", "data/blimp_filtered");
    workspace.write("held/a.train", workspace.bytes("text/a.train"));
    assert!(scores(&workspace, "") && !scores(&workspace, ""));
    type Change = (&'static str, fn(&Workspace));
    let deciding: [Change; 7] = [
        ("the token before a text", |w| {
            w.replace(
                "model/tokenizer_config.json",
                r#""bos_token": "<s>""#,
                r#""bos_token": "</s>""#,
            );
        }),
        ("a special token", |w| {
            w.write("model/special_tokens_map.json", r#"{"bos_token": "</s>"}"#);
        }),
        ("the tokenizer", |w| w.copy(TEACHER, "model")),
        ("how generation ends", |w| {
            w.write("model/generation_config.json", r#"{"eos_token_id": [0, 1]}"#);
        }),
        ("a file of pairs", |w| {
            let pairs = w.text("pairs/order.jsonl");
            w.write("data/blimp_filtered/order.jsonl", pairs.split_once('\n').unwrap().1);
        }),
        ("another file of pairs", |w| {
            w.write("data/blimp_filtered/more.jsonl", w.bytes("pairs/order.jsonl"));
        }),
        ("held-out text", |w| w.write("held/b.train", "The dog sees a cat.\n".repeat(20))),
    ];
    for (what, change) in deciding {
        change(&workspace);
        assert!(scores(&workspace, ""), "{what} decides");
        assert!(!scores(&workspace, ""), "{what} is scored once");
    }
    for option in ["--rules 2023", "--clean"] {
        assert!(scores(&workspace, option) && !scores(&workspace, option), "{option} decides");
        assert!(scores(&workspace, ""), "{option} was taken back");
    }
    let others =
        ["model/README.md", "model/.git/HEAD", "data/blimp_filtered/README.md", "held/x.md"];
    for other in others {
        workspace.write(other, "anything");
        assert!(!scores(&workspace, ""), "{other} decides nothing");
    }
}

#[test]
fn training_follows_from_what_is_read_of_a_teacher_and_from_nothing_else() {
    let workspace = Workspace::trained();
    workspace.copy(TEACHER, "brought");
    workspace.copy("runs/small/tokenizer", "tokenizer");
    let [_, student] =
        super::common::RECIPE.split_once("[models.student]").map(|(a, b)| [a, b]).unwrap();
    workspace.write(
        "brought.toml",
        format!(
            "[corpus]\nsource = \"text\"\nvalidation_fraction = 0.1\n[tokenizer]\npath = \
             \"tokenizer/tokenizer.json\"\n[models.student]{}",
            student
                .replace("[\"teacher\"]", "[\"brought\"]")
                .replace("epochs = 2", "max_steps = 4")
        ),
    );
    let trains = || {
        let finished = workspace.babyllama("run brought.toml").done();
        finished.stderr.contains("stage model-student")
    };
    assert!(trains() && !trains());
    for other in ["README.md", ".git/objects/ab", "training_args.bin"] {
        workspace.write(&format!("brought/{other}"), "anything");
        assert!(!trains(), "{other} decides nothing");
    }
    // A pipe beside the weights would keep a program that opens it waiting.
    #[cfg(unix)]
    std::process::Command::new("mkfifo").arg(workspace.path("brought/pipe")).status().unwrap();
    assert!(!trains());
    workspace.copy(STUDENT, "brought");
    assert!(trains(), "other weights decide");
}

#[test]
fn an_ensemble_of_many_models_has_files_of_a_length_that_file_systems_take() {
    let workspace = Workspace::trained();
    workspace.copy("pairs", "data/blimp_filtered");
    let name = |number: usize| format!("models/{number}-{}", "long".repeat(20));
    let models: Vec<String> = (0..4).map(name).collect();
    models.iter().for_each(|model| workspace.copy(STUDENT, model));
    let line = format!("evaluate all {} --ensemble --data data --output results", models.join(" "));
    workspace.babyllama(&line).done();
    let folder = workspace.names("results").into_iter().find(|name| name.starts_with("0-long"));
    assert!(folder.unwrap().len() <= 120);
}

#[test]
fn a_text_that_moves_to_the_held_out_ones_is_no_training_text_any_more() {
    let workspace = Workspace::new();
    workspace.write("held/c.train", workspace.bytes("text/a.train"));
    let validation = "validation = \"held\"";
    let recipe = super::common::RECIPE.replace("validation_fraction = 0.1", validation);
    workspace.write("small.toml", recipe.replace("epochs = 2", "max_steps = 2"));
    workspace.babyllama("run small.toml --only teacher").done();
    let moved = workspace.names("text")[1].clone();
    let [from, to] = ["text", "held"].map(|folder| workspace.path(&format!("{folder}/{moved}")));
    std::fs::rename(from, to).unwrap();
    let dry = workspace.babyllama("run small.toml --only teacher --dry-run").done().stdout;
    assert!(dry.contains("corpus: to do: ") && dry.contains(&moved), "{dry}");
    assert!(dry.lines().any(|line| line.starts_with("model-teacher: to do")), "{dry}");
}

#[test]
fn scores_of_an_earlier_training_are_not_those_of_the_present_one() {
    let workspace = Workspace::trained();
    workspace.babyllama("run small.toml --output runs/other --only teacher").done();
    let again = "--set train.learning_rate=0.02 --set student.distill.signal=hidden";
    workspace.babyllama(&format!("cache-teachers small.toml {again}")).done();
    let best = workspace.json("runs/small/models/teacher/summary.json")["best_loss"].clone();
    let (best, old) = (
        best.as_f64().unwrap(),
        workspace.json("runs/small/evaluation/teacher.json")["held_out_loss"].as_f64().unwrap(),
    );
    assert!((best - old).abs() > 0.001, "{best} {old}");
    workspace.babyllama("report runs/small --output page.html").done();
    let page = workspace.text("page.html");
    assert!(page.contains("has those of an earlier training of teacher"), "{page:.3000}");
    let cell = |loss: f64| format!("{loss:.3}");
    assert!(page.contains(&cell(best)), "{}", cell(best));
    let compared = workspace.babyllama("compare runs/small runs/other").done().stdout;
    assert!(compared.contains("trained again in runs/small since it was scored"), "{compared}");
    let row = compared.lines().find(|line| line.starts_with("teacher") && line.contains("loss"));
    let cells: Vec<&str> = row.unwrap().split_whitespace().collect();
    let number = format!("{old:.4}");
    assert_eq!(cells[..5], ["teacher", "held-out", "loss", "-", number.as_str()], "{compared}");
    workspace.babyllama(&format!("run small.toml {again}")).done();
    workspace.babyllama("report runs/small --output page.html").done();
    assert!(!workspace.text("page.html").contains("of an earlier training"));
}
