//! The commands besides `run`, on what a run has made.

use super::common::{STUDENT, TEACHER, Workspace};

const TOKENS: &str =
    "--tokens runs/small/tokens/train.bin --validation runs/small/tokens/validation.bin";

/// The rows of a printed table, cut at two blanks, without head and rule.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .skip(2)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect()
}

/// A number of a file that `--json` wrote.
fn number(workspace: &Workspace, file: &str, index: usize, key: &str) -> f64 {
    workspace.json(file)[index].pointer(key).and_then(|value| value.as_f64()).unwrap()
}

#[test]
fn corpora_are_cleaned_and_counted() {
    let workspace = Workspace::new();
    workspace.write("raw/switchboard.train", "A:\tyeah .\nB:\tuh-huh .\n");
    workspace.write("raw/open_subtitles.train", "- What?\n\n\n<i>Nothing.</i>\n");
    let finished = workspace.babyllama("corpus clean raw text --output clean").done();
    assert!(finished.stdout.contains("4 files cleaned into clean"), "{}", finished.stdout);
    let names = ["a.train", "b.train", "open_subtitles.train", "switchboard.train"];
    assert_eq!(workspace.names("clean"), names);
    assert_eq!(
        workspace.text("clean/a.train"),
        workspace.text("text/a.train"),
        "text of no known source stays"
    );
    workspace.babyllama("corpus clean raw text --output again").done();
    assert!(
        names.iter().all(|name| workspace.text(&format!("clean/{name}"))
            == workspace.text(&format!("again/{name}")))
    );
    workspace
        .babyllama("corpus clean text text/a.train --output twice")
        .refused(1)
        .names(&["named a.train"]);

    let counts = |name: &str| {
        let text = workspace.text(name);
        [text.len(), text.chars().count(), text.lines().count(), text.split_whitespace().count()]
    };
    let finished = workspace.babyllama("corpus stats text").done();
    let table = rows(&finished.stdout);
    let (a, b) = (counts("text/a.train"), counts("text/b.train"));
    let total: Vec<usize> = a.iter().zip(b).map(|(a, b)| a + b).collect();
    for (row, expected) in table.iter().zip([&a[..], &b[..], &total[..]]) {
        let found: Vec<usize> =
            row[1..5].iter().map(|cell| cell.replace(',', "").parse().unwrap()).collect();
        assert_eq!(found, expected, "{row:?}");
    }
}

#[test]
fn tokenizers_are_trained_to_the_same_bytes() {
    let workspace = Workspace::new();
    for (output, threads) in [("one", 1), ("two", 3)] {
        workspace
            .babyllama(&format!(
                "--threads {threads} tokenizer train text --vocab-size 90 --output {output}"
            ))
            .done();
    }
    assert_eq!(workspace.text("one/tokenizer.json"), workspace.text("two/tokenizer.json"));
    let table =
        workspace.babyllama("corpus stats text --tokenizer one/tokenizer.json").done().stdout;
    let tokens: f64 = rows(&table)[2][5].replace(',', "").parse().unwrap();
    let words: f64 = rows(&table)[2][4].replace(',', "").parse().unwrap();
    assert!(words < tokens && tokens < 5.0 * words, "{table}");
    let small =
        workspace.babyllama("tokenizer train text --vocab-size 9 --output three").refused(1);
    small.names(&["a vocabulary of 9 is too small"]).advises("larger");
}

#[test]
fn a_model_trained_by_itself_is_the_one_of_the_run() {
    let workspace = Workspace::trained();
    let size = workspace.json(&format!("{TEACHER}/config.json"))["vocab_size"].as_u64().unwrap();
    for name in ["train", "validation"] {
        workspace.write(
            &format!("raw/{name}.bin"),
            &workspace.bytes(&format!("runs/small/tokens/{name}.bin"))[64..],
        );
    }
    let raw = format!(
        "--tokens raw/train.bin --validation raw/validation.bin --raw-tokens --vocab-size {size}"
    );
    let pretrain = "pretrain --config small.toml --model teacher";
    let distill = format!("distill --config small.toml --model student --teacher {TEACHER}");
    for (command, expected) in [(pretrain, TEACHER), (&distill, STUDENT)] {
        workspace
            .babyllama(&format!("{command} {TOKENS} --output headed-{}", &command[..4]))
            .done();
        workspace.babyllama(&format!("{command} {raw} --output raw-{}", &command[..4])).done();
        for way in ["headed", "raw"] {
            assert!(
                workspace.weights(&format!("{way}-{}/final", &command[..4]))
                    == workspace.weights(expected),
                "{command}"
            );
        }
    }
    assert!(workspace.text("headed-pret/log.txt").contains("training begins"));
    let quiet = workspace.babyllama(&format!("{pretrain} {TOKENS} --output quiet --quiet")).done();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let json = workspace.babyllama(&format!("{pretrain} {TOKENS} --output json --json")).done();
    let events: Vec<serde_json::Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.last().unwrap()["event"], "done");
    assert!(events.iter().any(|event| event["event"] == "step"), "{events:?}");
    let unknown = raw.split_once(" --vocab-size").unwrap().0;
    workspace
        .babyllama(&format!("{pretrain} {unknown} --output x"))
        .refused(1)
        .advises("--vocab-size");
}

#[test]
fn a_trained_model_can_learn_on() {
    let workspace = Workspace::trained();
    let command = format!(
        "pretrain --model {TEACHER} {TOKENS} --set epochs=1 --set sequence_length=16 --output on"
    );
    workspace.babyllama(&command).done();
    let loss = |model: &str| {
        workspace
            .babyllama(&format!(
                "evaluate loss {model} --data text --sequence-length 16 --json loss.json"
            ))
            .done();
        number(&workspace, "loss.json", 0, "/loss")
    };
    // No tokenizer was named, so none is beside the weights.
    let missing =
        workspace.babyllama("evaluate loss on/final --data text --sequence-length 16").refused(1);
    missing.names(&["on/final/tokenizer.json does not exist"]);
    workspace
        .write("on/final/tokenizer.json", workspace.bytes(&format!("{TEACHER}/tokenizer.json")));
    assert!(loss("on/final") < loss(TEACHER));
}

#[test]
fn losses_agree_whatever_they_are_read_from() {
    let workspace = Workspace::trained();
    let loss = |rest: &str| {
        workspace
            .babyllama(&format!("evaluate loss {rest} --sequence-length 16 --json loss.json"))
            .done()
            .stdout
    };
    let tokens = "--data runs/small/tokens/validation.bin";
    let table = loss(&format!("{TEACHER} {STUDENT} {tokens}"));
    let of = |index| number(&workspace, "loss.json", index, "/loss");
    let (teacher, student) = (of(0), of(1));
    assert_eq!(
        rows(&table)[0],
        ["teacher", &format!("{teacher:.4}"), &format!("{:.2}", teacher.exp())]
    );
    for (model, found) in [("teacher", teacher), ("student", student)] {
        let in_run =
            &workspace.json(&format!("runs/small/evaluation/{model}.json"))["held_out_loss"];
        // The run takes other batches, and so rounds its sum of logarithms elsewhere.
        assert!((in_run.as_f64().unwrap() - found).abs() < 1e-9, "{model}: {in_run} {found}");
    }

    loss(&format!("{STUDENT} --data runs/small/corpus/validation"));
    assert_eq!(of(0), student, "the text of the tokens");
    workspace.write("raw.bin", &workspace.bytes("runs/small/tokens/validation.bin")[64..]);
    loss(&format!("{STUDENT} --data raw.bin --raw-tokens"));
    assert_eq!(of(0), student, "the tokens without their header");

    loss(&format!("{STUDENT} {STUDENT} --ensemble {tokens}"));
    assert!((of(0) - student).abs() < 1e-6, "a model is its own ensemble: {} {student}", of(0));
    let table = loss(&format!("{TEACHER} {STUDENT} --ensemble {tokens}"));
    assert_eq!(workspace.json("loss.json").as_array().unwrap().len(), 1, "{table}");
    assert!(of(0) < teacher.max(student) && of(0) != teacher, "{table}");
}

#[test]
fn minimal_pairs_are_scored_alone_and_together() {
    let workspace = Workspace::trained();
    let blimp = |rest: &str| {
        workspace
            .babyllama(&format!("evaluate blimp {rest} --data pairs --json blimp.json"))
            .done()
            .stdout
    };
    let table = blimp(&format!("{TEACHER} {STUDENT}"));
    let names: Vec<&str> = rows(&table).iter().map(|row| row[0]).collect();
    assert_eq!(names, ["agreement", "order", "mean", "ties"]);
    let scores = workspace.json("blimp.json");
    let in_run = |model: &str| {
        workspace.json(&format!("runs/small/evaluation/{model}.json"))["pairs"]["pairs"].clone()
    };
    assert_eq!(
        (&scores[0]["blimp"], &scores[1]["blimp"]),
        (&in_run("teacher"), &in_run("student"))
    );
    blimp(&format!("{STUDENT} {STUDENT} --ensemble"));
    let together = workspace.json("blimp.json");
    assert_eq!(
        together[0]["blimp"]["tasks"], scores[1]["blimp"]["tasks"],
        "a model is its own ensemble"
    );
    assert_ne!(blimp(&format!("{STUDENT} --rules 2023")), "");
    assert_eq!(workspace.json("blimp.json")[0]["blimp"]["groups"].as_array().unwrap().len(), 2);

    blimp(&format!("{TEACHER} {STUDENT} --output results"));
    assert_eq!(workspace.json("results/student/pairs/result.json"), scores[1]["blimp"]);
    let answers = workspace.text("results/teacher/pairs/predictions.jsonl");
    assert_eq!(
        answers.lines().count() as u64,
        scores[0]["blimp"]["tasks"][0]["items"].as_u64().unwrap() * 2
    );
    assert!(
        answers.starts_with("{\"task\":\"agreement\",\"index\":0,\"gold\":0,\"predicted\":"),
        "{answers}"
    );
}

#[test]
fn texts_are_continued_as_the_seed_says() {
    let workspace = Workspace::trained();
    let write = |more: &[&str]| {
        let words =
            [&["generate", STUDENT, "--prompt", "The dog", "--max-tokens", "20"], more].concat();
        workspace.finish(workspace.command(&words)).done().stdout
    };
    let greedy = write(&["--greedy"]);
    assert!(
        greedy.starts_with("The dog") && greedy.ends_with('\n') && greedy.len() > 9,
        "{greedy:?}"
    );
    assert_eq!(write(&["--greedy"]), greedy);
    assert_eq!(write(&["--greedy", "--threads", "3"]), greedy);
    assert_eq!(write(&["--top-k", "1"]), greedy, "the likeliest of one");
    assert_eq!(write(&["--seed", "1"]), write(&["--seed", "1"]));
    assert_ne!(write(&["--seed", "1"]), write(&["--seed", "2"]));
    let long = "The dog sees. ".repeat(40);
    let refusal =
        workspace.finish(workspace.command(&["generate", STUDENT, "--prompt", &long])).refused(1);
    refusal.names(&["tokens do not fit the model's 32 positions"]).advises("shorten");
}

#[test]
fn every_command_can_be_quiet() {
    let workspace = Workspace::trained();
    let evaluate = format!("evaluate blimp {STUDENT} --data pairs --output");
    let loud = workspace.babyllama(&format!("{evaluate} loud")).done();
    for part in [" on pairs  done in ", "scores and answers are in loud"] {
        assert!(loud.stderr.contains(part), "{part}: {}", loud.stderr);
    }
    assert!(!loud.stderr.contains('\u{1b}'), "no terminal, no control characters");
    for line in [format!("--quiet {evaluate} quiet"), format!("{evaluate} silent --quiet")] {
        let quiet = workspace.babyllama(&line).done();
        assert_eq!((quiet.stdout, quiet.stderr.as_str()), (loud.stdout.clone(), ""), "{line}");
    }
    let both = workspace.babyllama("run small.toml --quiet --json").refused(2);
    both.names(&["--quiet"]);
}

#[test]
fn an_exported_model_is_the_model() {
    let workspace = Workspace::trained();
    workspace.babyllama("export runs/small --model student --output exported/student").done();
    assert!(workspace.weights("exported/student") == workspace.weights(STUDENT));
    let files = [vec!["README.md".to_owned()], workspace.names(STUDENT)].concat();
    assert_eq!(workspace.names("exported/student"), files);
    let evaluate = "--data runs/small/tokens/validation.bin --sequence-length 16 --json loss.json";
    workspace.babyllama(&format!("evaluate loss exported/student {STUDENT} {evaluate}")).done();
    assert_eq!(
        number(&workspace, "loss.json", 0, "/loss"),
        number(&workspace, "loss.json", 1, "/loss")
    );
    let nobody =
        workspace.babyllama("export runs/small --model nobody --output exported/nobody").refused(1);
    nobody.names(&["runs/small has no model `nobody`"]).advises("--model");
    let absent = workspace.babyllama("export runs/none --model student --output x").refused(1);
    absent.names(&["there is no folder runs/none"]).advises("babyllama list");
    let onto_text = workspace.babyllama("export runs/small --model student --output text");
    onto_text.refused(1).names(&["text holds other files"]);
    let again = "export runs/small --model teacher --output exported/student";
    workspace.babyllama(again).refused(1).names(&["holds a model already"]).advises("--replace");
    assert!(workspace.weights("exported/student") == workspace.weights(STUDENT));
    workspace.babyllama(&format!("{again} --replace")).done();
    assert!(workspace.weights("exported/student") == workspace.weights(TEACHER));
    assert_eq!(workspace.names("exported"), ["student"]);
}

#[test]
fn a_plan_says_what_a_recipe_takes_and_starts_nothing() {
    let workspace = Workspace::new();
    let plan = workspace.babyllama("plan small.toml").done().stdout;
    for part in [
        "words, about",
        "from a few steps of each model",
        "a word, counted in a sample",
        "teacher",
        "student",
        "all",
        "A kill costs 10 minutes",
    ] {
        assert!(plan.contains(part), "{plan}");
    }
    assert_eq!(workspace.names("."), ["pairs", "small.toml", "text"]);
}

#[test]
fn a_plan_shows_how_long_weights_remember() {
    let workspace = Workspace::new();
    let set = "--set teacher.train.weight_decay=1e-3 --set student.train.weight_decay_epochs=0.3";
    let plan = workspace.babyllama(&format!("plan small.toml {set}")).done().stdout;
    for part in ["tau", "0.30", "`weight_decay_epochs` sets it", "Weight decay does nothing to t"] {
        assert!(plan.contains(part), "{plan}");
    }
    assert!(!plan.contains("does nothing to student"), "{plan}");
    workspace
        .babyllama(&format!("run small.toml {set} --set student.train.weight_decay=1"))
        .refused(2)
        .names(&["models.student.train.weight_decay_epochs", "remove one of the two"]);
    // An epoch has 36 steps.
    let short = "run small.toml --only teacher --set teacher.train.weight_decay_epochs=0.02";
    workspace.babyllama(short).refused(1).names(&["0.02 (0.72 steps)", "more than one step"]);
}

#[test]
fn a_plan_knows_what_a_run_in_any_folder_has_done() {
    let workspace = Workspace::new();
    workspace.babyllama("run small.toml --only teacher --output elsewhere").done();
    for line in ["plan small.toml --output elsewhere", "plan --output elsewhere"] {
        let plan = workspace.babyllama(line).done().stdout;
        let rows: Vec<Vec<&str>> =
            plan.lines().map(|line| line.split_whitespace().collect()).collect();
        let time = |model: &str| {
            let row = rows.iter().find(|row| row.first() == Some(&model)).unwrap();
            *row.last().unwrap()
        };
        assert!(time("teacher") == "done" && time("student") != "done", "{plan}");
        assert!(!plan.contains("words, about"), "the run's own tokens: {plan}");
    }
    workspace.babyllama("plan --output none").refused(2).names(&["none/recipe.toml"]);
}

#[test]
fn a_tokenizer_that_is_smaller_than_asked_for_is_named_and_replaces_no_models() {
    let workspace = Workspace::trained();
    let train = "tokenizer train text --vocab-size 5000 --output";
    let finished = workspace.babyllama(&format!("{train} new")).done();
    assert!(finished.stderr.contains(" of the 5000 entries that were asked for"), "{finished:?}");
    let before = workspace.bytes(&format!("{STUDENT}/tokenizer.json"));
    let refusal = workspace.babyllama(&format!("{train} {STUDENT}")).refused(1);
    refusal.names(&["holds a model, whose tokenizer this would replace"]).advises("--replace");
    assert!(workspace.bytes(&format!("{STUDENT}/tokenizer.json")) == before);
    workspace.copy(STUDENT, "copy");
    workspace.babyllama(&format!("{train} copy --replace")).done();
    assert!(workspace.bytes("copy/tokenizer.json") != before);
    let refusal = workspace.babyllama("recipe new --corpus nope --output my.toml").refused(1);
    refusal.names(&["nope does not exist"]);
    workspace.babyllama("recipe new --corpus text --output my.toml").done();
}
