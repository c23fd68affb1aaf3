//! Files that are read: none left out in silence; files that are written: tried before the work,
//! and never in place of what is read.

use super::common::{STUDENT, Workspace};

const LFS_POINTER: &str =
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

#[test]
fn text_is_never_left_out_in_silence() {
    let workspace = Workspace::new();
    workspace.write("text/C.TXT", "In capitals.\n");
    workspace.write("text/notes.md", "Not for training.\n");
    workspace.write("text/._a.train", "\u{0}Mac");
    let stats = workspace.babyllama("corpus stats text").done();
    assert!(stats.stdout.contains("C.TXT") && !stats.stdout.contains("._a"), "{}", stats.stdout);
    let line = "left out in text, not named .train, .dev, .test, .txt: notes.md";
    assert!(stats.stderr.contains(line), "{}", stats.stderr);

    std::os::unix::fs::symlink("../blobs/not-fetched", workspace.path("text/d.train")).unwrap();
    for line in [
        "corpus stats text",
        "corpus clean text --output clean",
        "tokenizer train text --vocab-size 300 --output tokenizer",
        "run small.toml",
    ] {
        let code = if line.starts_with("run") { 2 } else { 1 };
        let refusal = workspace.babyllama(line).refused(code);
        refusal.names(&["text/d.train is a link to a file that does not exist"]);
    }
    assert!(workspace.names("clean").is_empty());
}

#[test]
#[cfg(unix)]
fn what_has_no_end_is_refused_and_a_pipe_is_not_waited_for_after_a_signal() {
    let workspace = Workspace::trained();
    std::os::unix::fs::symlink("/dev/zero", workspace.path("endless.txt")).unwrap();
    let tokenizer = "runs/small/tokenizer/tokenizer.json";
    for line in [
        "corpus stats endless.txt".to_owned(),
        "tokenizer train endless.txt --vocab-size 300 --output new".to_owned(),
        format!("tokens encode endless.txt --tokenizer {tokenizer} --output new/tokens.bin"),
    ] {
        let refusal = workspace.babyllama(&line).refused(1);
        refusal.names(&["endless.txt", "neither a regular file nor a pipe"]);
    }
    assert!(!workspace.path("new").exists(), "folders that got nothing are removed again");
    let made = std::process::Command::new("mkfifo").arg(workspace.path("pipe.jsonl")).status();
    assert!(made.unwrap().success());
    let encode =
        format!("tokens encode pipe.jsonl --tokenizer {tokenizer} --output new/tokens.bin");
    for line in [encode.as_str(), "tokenizer train pipe.jsonl --vocab-size 300 --output new"] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let folder = workspace.path("new");
        // The folder is made when the signals are listened to.
        let stopped =
            super::interruption::signalled_when(&workspace, &words, "INT", || folder.exists());
        stopped.refused(130).advises("begin again with: babyllama");
        assert!(!folder.exists(), "{line}");
    }
}

/// A pipe without a writer would be waited for without end, and a device has none.
#[test]
#[cfg(unix)]
fn what_must_be_a_file_is_neither_waited_for_nor_read_without_end() {
    let workspace = Workspace::trained();
    let made = std::process::Command::new("mkfifo").arg(workspace.path("pipe")).status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", workspace.path("endless")).unwrap();
    let model = "--config small.toml --model student --output new";
    for (code, line) in [
        (1, format!("pretrain {model} --tokens {{}}")),
        (2, "pretrain --config {} --model student --output new --tokens t".to_owned()),
        (2, "run {}".to_owned()),
        (2, "plan {}".to_owned()),
        (1, format!("evaluate loss {STUDENT} --data {{}} --sequence-length 16")),
        (1, format!("evaluate ewok {STUDENT} --data {{}}")),
        (1, "evaluate compare {} {}".to_owned()),
        (2, format!("evaluate all {STUDENT} --data pairs --output new --recipe {{}}")),
        (2, format!("finetune {STUDENT} --data pairs --output new --recipe {{}}")),
    ] {
        for place in ["pipe", "endless"] {
            let line = line.replace("{}", place);
            let refusal = workspace.babyllama(&line).refused(code);
            refusal.names(&[place, "it is not a regular file"]);
        }
    }
}

#[test]
fn pointers_of_git_lfs_are_named() {
    let workspace = Workspace::new();
    workspace.write("text/a.train", LFS_POINTER);
    let refusal = workspace.babyllama("corpus stats text").refused(1);
    refusal.names(&["text/a.train", "Git LFS pointer"]).advises("git lfs pull");
}

#[test]
fn raw_text_is_not_cleaned_in_place() {
    let workspace = Workspace::new();
    let before = workspace.text("text/a.train");
    for line in [
        "corpus clean text --output text",
        "corpus clean text --output clean/../text",
        "corpus clean text/a.train --output text",
        // A folder that is not there yet would be made, and then be on the way.
        "corpus clean text --output new/../text",
        "corpus clean text --output text/new/..",
    ] {
        std::fs::create_dir_all(workspace.path("clean")).unwrap();
        let refusal = workspace.babyllama(line).refused(1);
        refusal.names(&["a.train is read"]).advises("another folder");
    }
    let encode = "tokens encode text --tokenizer none --output new/../text/a.train";
    workspace.babyllama(encode).refused(1).names(&["a.train is read"]);
    assert_eq!(workspace.text("text/a.train"), before);
    // Nor is what is not read.
    workspace.write("notes/report.html", "my own page");
    let report = "report runs/none --output new/../notes/report.html";
    workspace.babyllama(report).refused(1);
    assert_eq!(workspace.text("notes/report.html"), "my own page");
}

#[test]
fn outputs_are_tried_before_the_work() {
    let workspace = Workspace::trained();
    let model = "runs/small/models/student/final";
    let loss = format!("evaluate loss {model} --data text --sequence-length 16 --json");
    workspace.babyllama(&format!("{loss} not/yet/loss.json")).done();
    assert!(workspace.json("not/yet/loss.json")[0]["loss"].is_f64());

    let pairs = workspace.text("pairs/order.jsonl");
    let blimp = format!("evaluate blimp {model} --data pairs --json");
    workspace
        .babyllama(&format!("{blimp} pairs/order.jsonl"))
        .refused(1)
        .names(&["pairs/order.jsonl is read"]);
    assert_eq!(workspace.text("pairs/order.jsonl"), pairs);
    workspace.babyllama(&format!("{blimp} pairs")).refused(1).names(&["pairs is a folder"]);
    // Nothing was loaded: the model need not be there.
    workspace
        .babyllama("evaluate loss absent --data text --json small.toml/loss.json")
        .refused(1)
        .names(&["cannot make small.toml"]);

    let weights = workspace.weights(model);
    workspace
        .babyllama(&format!("evaluate blimp {model} --data pairs --output runs/small/scores"))
        .done();
    for output in [model, "new/../runs/small/models/student/final"] {
        workspace
            .babyllama(&format!("evaluate blimp {model} --data pairs --output {output}"))
            .refused(1)
            .names(&["filled by its run alone"]);
        workspace
            .babyllama(&format!("export runs/small --model student --output {output} --replace"))
            .refused(1)
            .names(&["is read"]);
    }
    let tokens = "--tokens runs/small/tokens/train.bin";
    workspace
        .babyllama(&format!("pretrain --model {model} {tokens} --output runs/small/models/student"))
        .refused(1)
        .names(&["is read"]);
    for (output, holds) in [
        ("runs/small/models/teacher", "filled by its run alone"),
        ("new/../runs/small", "holds a run"),
        ("runs/small/models/teacher/final", "filled by its run alone"),
        ("text", "holds other files and no training"),
        ("new/../pairs", "holds other files and no training"),
    ] {
        workspace
            .babyllama(&format!("pretrain --model {model} {tokens} --output {output}"))
            .refused(1)
            .names(&[holds])
            .advises("folder");
    }
    assert!(workspace.weights(model) == weights);
}

#[test]
fn no_output_replaces_a_file_of_another_kind() {
    let workspace = Workspace::trained();
    let model = "runs/small/models/student/final";
    let tokenizer = "runs/small/tokenizer/tokenizer.json";
    let lines = [
        format!("evaluate loss {model} --data text --sequence-length 16 --json OUTPUT"),
        format!("evaluate blimp {model} --data pairs --json OUTPUT"),
        "corpus readability text --json OUTPUT".to_owned(),
        format!("tokens encode text --tokenizer {tokenizer} --output OUTPUT"),
        "export runs/small --model student --output exported --replace --logits OUTPUT".to_owned(),
        "report runs/small --output OUTPUT".to_owned(),
        "report runs/small --output page.html --csv OUTPUT".to_owned(),
    ];
    for (index, line) in lines.iter().enumerate() {
        for (place, mine) in
            [("notes.md", "# My notes\n"), ("mine.json", "{\"model\": \"mine\"}\n")]
        {
            workspace.write(place, mine);
            let refusal = workspace.babyllama(&line.replace("OUTPUT", place)).refused(1);
            refusal.names(&[place, "is another file than"]).advises("move it away");
            assert_eq!(workspace.text(place), mine, "{line}");
        }
        // Its own it writes anew, into an empty file too.
        let place = format!("output-{index}");
        workspace.write(&place, "");
        for _ in 0..2 {
            workspace.babyllama(&line.replace("OUTPUT", &place)).done();
            assert!(!workspace.bytes(&place).is_empty(), "{line}");
        }
        // Nor does any write among the files of a run's stages.
        let inside = "new/../runs/small/models/student/mine";
        let refusal = workspace.babyllama(&line.replace("OUTPUT", inside)).refused(1);
        refusal.names(&["runs/small/models is filled by its run alone"]).advises("another folder");
    }
    for (line, named) in [
        (format!("evaluate blimp {model} --data pairs --output pairs"), "pairs is read"),
        (
            "export runs/small --model student --output runs/small/models/teacher/final --replace"
                .to_owned(),
            "filled by its run alone",
        ),
        (
            "tokenizer train text --vocab-size 300 --output runs/small/tokenizer".to_owned(),
            "filled by its run alone",
        ),
        (
            "corpus clean pairs/../text --output runs/small/corpus/train".to_owned(),
            "filled by its run alone",
        ),
    ] {
        workspace.babyllama(&line).refused(1).names(&[named]);
    }
    workspace.babyllama("status runs/small").done();
}

#[test]
fn texts_of_other_contents_give_way_to_replace_alone() {
    let workspace = Workspace::new();
    workspace.write("text/wikipedia.train", " = = a = = \nIt is .\n");
    let clean = "corpus clean text --output clean";
    workspace.babyllama(clean).done();
    let cleaned = workspace.text("clean/wikipedia.train");
    workspace.babyllama(clean).done();
    workspace.write("clean/wikipedia.train", "another corpus\n");
    std::fs::remove_file(workspace.path("clean/a.train")).unwrap();
    let refusal = workspace.babyllama(clean).refused(1);
    refusal.names(&["clean/wikipedia.train is there already"]).advises("--replace");
    assert_eq!(workspace.text("clean/wikipedia.train"), "another corpus\n");
    assert_eq!(workspace.names("clean"), ["b.train", "wikipedia.train"]);
    workspace.babyllama(&format!("{clean} --replace")).done();
    assert_eq!(workspace.text("clean/wikipedia.train"), cleaned);
    assert_eq!(workspace.names("clean"), ["a.train", "b.train", "wikipedia.train"]);
}

#[test]
fn two_sets_of_pairs_have_columns_of_their_own() {
    let workspace = Workspace::new();
    workspace.write("more/pairs/order.jsonl", workspace.text("pairs/order.jsonl"));
    workspace.replace("small.toml", "[\"pairs\"]", "[\"pairs\", \"more/pairs\"]");
    let table = workspace.babyllama("run small.toml").done().stdout;
    assert!(table.contains("minimal pairs, more-pairs"), "{table}");
    let page = workspace.text("runs/small/report.html");
    let sentence = "Of models with several sets of pairs: ";
    assert!(page.contains(sentence) && page.contains("minimal pairs of more-pairs"), "{sentence}");
}

#[test]
fn a_folder_of_a_user_is_taken_for_no_run_no_training_and_no_scores() {
    let workspace = Workspace::new();
    let own = workspace.text("text/a.train");
    // A recipe, a text and a log in one folder are no run.
    workspace.write("mine/corpus/train/a.train", &own);
    workspace.write("mine/small.toml", workspace.text("small.toml"));
    for known in ["recipe.toml", "log.txt", "metrics.jsonl", "stages/notes.txt"] {
        workspace.write(&format!("mine/{known}"), "mine");
        let refusal = workspace.babyllama("run small.toml --output mine").refused(1);
        refusal.names(&["mine holds other files and no run"]);
        std::fs::remove_file(workspace.path(&format!("mine/{known}"))).unwrap();
    }
    assert_eq!(workspace.text("mine/corpus/train/a.train"), own);
    workspace.babyllama("run small.toml").done();

    // Nor does a run replace what it reads.
    for (key, read) in [
        ("corpus.source", "runs/small/corpus/train"),
        ("tokenizer.path", "runs/small/tokenizer/tokenizer.json"),
    ] {
        let run = format!("run small.toml --output runs/small --set {key}={read}");
        workspace.babyllama(&run).refused(1).names(&[read, "would replace it"]);
        assert!(workspace.path(read).exists());
    }
    let tokens = "--tokens runs/small/tokens/train.bin";
    for known in ["log.txt", "metrics.jsonl", "teachers/x", "checkpoints/x"] {
        workspace.write(&format!("other/{}/{known}", known.len()), "mine");
        let output = format!("other/{}", known.len());
        let train = format!("pretrain --model {STUDENT} {tokens} --output {output}");
        workspace.babyllama(&train).refused(1).names(&["holds other files and no training"]);
    }
    workspace.write("scores/student/pairs/result.json", "mine");
    let blimp = format!("evaluate blimp {STUDENT} --data pairs --output scores");
    let refusal = workspace.babyllama(&blimp).refused(1);
    refusal.names(&["holds other files and no scores"]);
    assert_eq!(workspace.text("scores/student/pairs/result.json"), "mine");

    // A model that a user keeps beside the caches is none.
    workspace.write("runs/small/teachers/gpt2/config.json", "{}");
    workspace.write("runs/small/models/student.old-notes/notes.txt", "mine");
    workspace.babyllama("clean runs/small --yes").done();
    assert_eq!(workspace.text("runs/small/teachers/gpt2/config.json"), "{}");
    assert_eq!(workspace.text("runs/small/models/student.old-notes/notes.txt"), "mine");
}

#[test]
fn two_outputs_of_one_command_are_two_places() {
    let workspace = Workspace::trained();
    workspace.write("tok/tokenizer.json", "{\"my\": \"notes\"}");
    let train = "tokenizer train text --vocab-size 300 --output tok";
    workspace.babyllama(train).refused(1).names(&["tok/tokenizer.json is there already"]);
    assert_eq!(workspace.text("tok/tokenizer.json"), "{\"my\": \"notes\"}");
    workspace.babyllama(&format!("{train} --replace")).done();
    workspace.babyllama(train).done();

    let export = "export runs/small --model student --output e";
    for place in ["./e/model.safetensors", "e/../e/tokenizer.json", "e//special_tokens_map.json"] {
        let line = format!("{export} --logits {place}");
        workspace.babyllama(&line).refused(2).names(&["is a file of the exported model"]);
    }
    workspace.babyllama(export).done();
    workspace.babyllama(export).done();
    workspace.write("e/config.json", "{\"my\": \"config\"}");
    workspace.babyllama(export).refused(1).names(&["holds a model"]);

    let blimp = format!("evaluate blimp {STUDENT} --data pairs --output b --json");
    for inside in ["b/final/model.json", "b/final/pairs/result.json", "b/table.md"] {
        workspace
            .babyllama(&format!("{blimp} {inside}"))
            .refused(1)
            .names(&["place of the results"]);
    }
    let loss = format!("evaluate loss {STUDENT} --data text --sequence-length 16 --json");
    for name in ["special_tokens_map.json", "added_tokens.json"] {
        let inside = format!("exported/{name}");
        workspace.copy(STUDENT, "exported");
        let line = format!("evaluate loss {STUDENT} --data text --json {inside}");
        workspace.babyllama(&line).refused(1).names(&["would be read as a file of the model"]);
    }
    workspace.babyllama(&format!("{loss} runs/small/lock")).refused(1).names(&["file of its run"]);
    // An earlier output in a folder that is read is no input.
    for _ in 0..2 {
        workspace.babyllama(&format!("{loss} text/loss.json")).done();
    }
    workspace
        .babyllama("report runs/small --output page.html --figures f --csv f/metrics.csv")
        .refused(1)
        .names(&["f/metrics.csv is in the folder of --figures"]);
    workspace.write("index.html", "<!doctype html>\n<html lang=\"en\">\n<title>Mine</title>\n");
    let report = "report runs/small --output index.html";
    workspace.babyllama(report).refused(1).names(&["index.html is another file"]);
}
