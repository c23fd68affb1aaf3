//! Recipes, texts, token files and flags that are wrong: each is refused with its cause and a next
//! step.

use super::common::{Finished, STUDENT, Workspace, sentences};

fn set(workspace: &Workspace, value: &str) -> Finished {
    workspace.finish(workspace.command(&["run", "small.toml", "--set", value]))
}

#[test]
fn recipes_that_are_wrong() {
    let workspace = Workspace::new();
    let unknown = set(&workspace, "student.train.learning_rat=1").refused(2);
    unknown
        .names(&["--set student.train.learning_rat=1", "`learning_rate`?"])
        .advises("change that flag");
    let kind = set(&workspace, "student.train.epochs='many'").refused(2);
    kind.names(&["`models.student.train.epochs` should be a number", "\"many\""]);
    let stranger = set(&workspace, "studnet.train.epochs=1").refused(2);
    stranger
        .names(&["`studnet`", "did you mean `student`?"])
        .advises("--set student.train.epochs=4");
    workspace.babyllama("run none.toml").refused(2).names(&["none.toml"]).advises("recipes/");

    workspace.replace("small.toml", "num_heads = 2", "num_heads = 2\nhidden_sise = 3");
    let line = 1 + workspace
        .text("small.toml")
        .lines()
        .position(|line| line.starts_with("hidden_sise"))
        .unwrap();
    let place = format!(
        "small.toml:{line}: unknown key `models.student.hidden_sise`; did you mean `hidden_size`?"
    );
    workspace.babyllama("run small.toml").refused(2).names(&[&place]).advises("change it there");
    workspace.write("small.toml", "seed = = 1\n");
    workspace.babyllama("plan small.toml").refused(2).names(&["small.toml:1: not valid TOML"]);
    // Nothing of all this has begun a run.
    assert_eq!(workspace.names("runs"), [""; 0]);
}

#[test]
fn texts_that_are_wrong() {
    let workspace = Workspace::new();
    set(&workspace, "corpus.source=none")
        .refused(2)
        .names(&["--set corpus.source=none: `corpus.source`", "none does not exist"])
        .advises("check the path");
    std::fs::create_dir(workspace.path("empty")).unwrap();
    set(&workspace, "corpus.source=empty")
        .refused(2)
        .names(&["empty holds no text"])
        .advises("put text there");
    workspace.write("blank/a.train", "\n \n");
    set(&workspace, "corpus.source=blank")
        .refused(1)
        .names(&["stage corpus", "blank holds no text"]);
    workspace.write("line/a.train", "One line.\n");
    set(&workspace, "corpus.source=line").refused(1).names(&["1 lines", "too few to hold out"]);

    let mut bytes = sentences(3, 1).into_bytes();
    let offset = bytes.len();
    bytes.extend(b"\xff bad\n");
    workspace.write("latin/a.train", bytes);
    let place = format!("latin/a.train is not UTF-8 text: bad byte at offset {offset}");
    set(&workspace, "corpus.source=latin")
        .refused(1)
        .names(&["stage corpus", &place])
        .advises("iconv");
    workspace.babyllama("corpus stats latin").refused(1).names(&[&place]);
    workspace.babyllama("tokenizer train latin --output tokenizer").refused(1).names(&[&place]);
}

#[test]
fn texts_shorter_than_a_sequence() {
    let workspace = Workspace::new();
    workspace.write("short/a.train", "A dog.\n".repeat(30));
    let short = set(&workspace, "corpus.source=short").refused(1);
    short
        .names(&["the validation text has ", "fewer than one sequence of 16"])
        .advises("smaller sequence_length");
    let long = set(&workspace, "teacher.train.sequence_length=100000").refused(1);
    long.names(&["the training text has ", "fewer than one sequence of 100000"]);
}

#[test]
fn minimal_pairs_that_are_wrong() {
    let workspace = Workspace::trained();
    let lines: Vec<String> =
        workspace.text("pairs/order.jsonl").lines().map(str::to_owned).collect();
    workspace.write("broken/order.jsonl", format!("{}\n{}\n{{oops\n", lines[0], lines[1]));
    let place = "broken/order.jsonl, line 3: bad JSON";
    workspace
        .babyllama(&format!("evaluate blimp {STUDENT} --data broken"))
        .refused(1)
        .names(&[place]);
    let in_run = set(&workspace, "evaluate.blimp=['broken']").refused(2);
    in_run.names(&["`evaluate.blimp[0]` names broken", place]).advises("mend that line");

    workspace.write("fieldless/a.jsonl", format!("{}\n{{\"sentence_good\": \"A.\"}}\n", lines[0]));
    let fieldless =
        workspace.babyllama(&format!("evaluate blimp {STUDENT} --data fieldless")).refused(1);
    fieldless.names(&["fieldless/a.jsonl, line 2: no field `sentence_bad`"]);
    let textual = workspace.babyllama(&format!("evaluate blimp {STUDENT} --data text")).refused(1);
    textual.names(&["text has no .jsonl"]).advises("BLiMP");
    let absent = workspace.babyllama(&format!("evaluate blimp {STUDENT} --data none")).refused(1);
    absent.names(&["none"]).advises("check the path");
}

#[test]
fn token_files_that_are_wrong() {
    let workspace = Workspace::trained();
    let loss = |data: &str| {
        workspace.babyllama(&format!("evaluate loss {STUDENT} --sequence-length 16 --data {data}"))
    };
    let whole = workspace.bytes("runs/small/tokens/validation.bin");
    workspace.write("cut.bin", &whole[..whole.len() - 10]);
    loss("cut.bin").refused(1).names(&["cut.bin is not a usable token file", "truncated"]);
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    workspace.write("flipped.bin", flipped);
    loss("flipped.bin").refused(1).names(&["flipped.bin", "checksum does not match"]);
    loss("small.toml")
        .refused(1)
        .names(&["small.toml is not a usable token file"])
        .advises("--raw-tokens");
    loss("none.bin").refused(1).names(&["none.bin does not exist"]).advises("check the path");
    workspace.write("odd.bin", [1, 0, 2]);
    loss("odd.bin --raw-tokens").refused(1).names(&["odd.bin", "odd number of bytes"]);
    workspace.write("high.bin", [0xff; 64]);
    loss("high.bin --raw-tokens")
        .refused(1)
        .names(&["token 65535", "vocabulary of"])
        .advises("same tokenizer");

    workspace.babyllama("tokenizer train text --vocab-size 100 --output other").done();
    workspace.copy(STUDENT, "stranger");
    workspace.copy("other", "stranger");
    let command =
        "evaluate loss stranger --sequence-length 16 --data runs/small/tokens/validation.bin";
    workspace
        .babyllama(command)
        .refused(1)
        .names(&["validation.bin", "another tokenizer than stranger has"]);
}

#[test]
fn flags_that_are_wrong() {
    let workspace = Workspace::new();
    for (line, part) in [
        ("rnu small.toml", "rnu"),
        ("run", "<RECIPE>"),
        ("run small.toml --outptu x", "--output"),
        ("generate m --prompt x --temperature -1", "-1"),
        ("evaluate blimp m --data d --rules 2025", "2024"),
        ("--threads many plan small.toml", "many"),
        ("distill --model m --tokens t --output o", "--teacher"),
    ] {
        let finished = workspace.babyllama(line);
        assert_eq!(finished.code, Some(2), "{line}: {finished:?}");
        assert!(
            finished.stderr.contains(part) && finished.stderr.contains("--help"),
            "{line}: {}",
            finished.stderr
        );
    }
    let short = workspace.babyllama("evaluate loss m --data text --sequence-length 1").refused(2);
    short.names(&["--sequence-length is 1"]).advises("--help");
}

#[test]
fn folders_that_cannot_be_written() {
    let workspace = Workspace::new();
    let run = workspace.babyllama("run small.toml --output small.toml/run").refused(1);
    run.names(&["cannot make the run's folder small.toml/run"]).advises("--output");
    let clean = workspace.babyllama("corpus clean text --output small.toml/clean").refused(1);
    clean.names(&["cannot make small.toml/clean"]).advises("check the path");
    workspace
        .babyllama("tokenizer train text --output small.toml")
        .refused(1)
        .names(&["small.toml"]);
}
