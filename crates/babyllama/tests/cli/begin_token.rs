//! `tokenizer.begin_token`: `<s>` before every document and every text.

use corpus::{TokenFile, Tokenizer};

use super::challenge::workspace as with_tasks;
use super::common::{STUDENT, TEACHER, Workspace};

/// The tokens of a file.
fn tokens(workspace: &Workspace, file: &str) -> Vec<u32> {
    let file = TokenFile::open(&workspace.path(file)).unwrap();
    let mut ids = Vec::new();
    file.read(0..file.len(), &mut ids);
    ids
}

#[test]
fn documents_and_texts_begin_with_the_token() {
    let workspace = Workspace::new();
    let run = "run small.toml --set tokenizer.begin_token=true";
    workspace.babyllama(run).done();
    workspace.babyllama("run small.toml --output plain").done();
    let (begun, plain) = ("runs/small/tokens/train.bin", "plain/tokens/train.bin");
    let (begun, plain) = (tokens(&workspace, begun), tokens(&workspace, plain));
    let without: Vec<u32> = begun.iter().copied().filter(|&id| id != 1).collect();
    assert_eq!((without, begun[0]), (plain.clone(), 1));
    // The text has no blank lines: each line is a document.
    let lines = std::fs::read_dir(workspace.path("runs/small/corpus/train")).unwrap();
    let lines = lines.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let lines: usize = lines.map(|text| text.lines().count()).sum();
    assert_eq!(begun.len() - plain.len(), lines);
    assert!(!workspace.path("runs/small/tokens/train.bin.plain").exists());

    for folder in [TEACHER, STUDENT] {
        let tokenizer = Tokenizer::from_folder(&workspace.path(folder)).unwrap();
        assert_eq!(tokenizer.tokens_around(false).unwrap(), [vec![1], vec![], vec![]]);
    }
    // Words are those of the text; the last tokens of an epoch may be left out.
    let words = |place: &str| {
        let exposure = workspace.json(&format!("{place}/exposure.json"));
        exposure["teacher"]["words"].as_f64().unwrap()
    };
    let ratio = words("runs/small") / words("plain");
    assert!((ratio - 1.0).abs() < 0.03, "{ratio}");
    // Nothing is done again; other documents are other tokens.
    let again = workspace.babyllama(run).done();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    let other = format!("{run} --set corpus.documents={{default='file'}} --output other");
    workspace.babyllama(&other).done();
    let other = tokens(&workspace, "other/tokens/train.bin");
    assert!(other.len() < begun.len() && other.len() > plain.len());
}

#[test]
fn a_model_continues_and_scores_texts_behind_the_token() {
    let workspace = Workspace::new();
    workspace.babyllama("run small.toml --set tokenizer.begin_token=true").done();
    let words = ["generate", STUDENT, "--greedy", "--max-tokens", "4", "--prompt", "The dog"];
    let written = workspace.finish(workspace.command(&words)).done().stdout;
    assert!(written.starts_with("The dog") && !written.contains("<s>"), "{written}");
    // The first token of a text is scored: no note states the contrary.
    let (tasks, _) = with_tasks();
    let data = tasks.path("data").display().to_string();
    let words = ["evaluate", "challenge", STUDENT, "--only", "blimp-filtered", "--data", &data];
    let words = [&words[..], &["--output", "results"]].concat();
    let found = workspace.finish(workspace.command(&words)).done();
    assert!(!found.stderr.contains("is not scored"), "{}", found.stderr);
}

#[test]
fn a_teacher_that_may_not_know_the_token_is_named() {
    let workspace = Workspace::new();
    workspace.babyllama("run small.toml --only teacher --output plain").done();
    let begun = "--set tokenizer.begin_token=true --only teacher --output begun";
    workspace.babyllama(&format!("run small.toml {begun}")).done();
    let warned = |teacher: &str| {
        let folder = format!("{teacher}/models/teacher/final");
        let students = format!("students-of-{teacher}");
        let words = ["run", "small.toml", "--quiet", "--output", &students];
        let set = format!("student.distill.teachers=['{folder}']");
        let set = ["--set", "tokenizer.begin_token=true", "--set", set.as_str()];
        let words = [&words[..], &set, &["--set", "student.seeds=[1, 2]"]].concat();
        let found = workspace.finish(workspace.command(&words)).done().stderr;
        let warning = format!("warning: teacher {folder}: its tokenizer does not put the token");
        found.matches(&warning).count()
    };
    // Once, though it teaches two students.
    assert_eq!((warned("plain"), warned("begun")), (1, 0));
}

#[test]
fn masked_models_have_ends_of_their_own() {
    let workspace = Workspace::new();
    let recipe = "[corpus]\nsource = 'text'\n[tokenizer]\nvocab_size = 300\nmask_token = true\n\
                  begin_token = true\n[models.m]\narchitecture = 'ltg-bert'\nhidden_size = 16\n\
                  intermediate_size = 24\nnum_layers = 1\nnum_heads = 2\n";
    workspace.write("masked.toml", recipe);
    workspace
        .babyllama("run masked.toml")
        .refused(2)
        .names(&["`tokenizer.begin_token` is for models that predict the next token"]);
}

#[test]
fn a_tokenizer_of_a_file_gets_the_token_or_is_refused() {
    let workspace = Workspace::new();
    workspace.babyllama("tokenizer train text --vocab-size 300 --output plain").done();
    workspace.babyllama("tokenizer train text --vocab-size 300 --begin-token --output own").done();
    let own = Tokenizer::load(&workspace.path("own/tokenizer.json")).unwrap();
    assert_eq!(own.tokens_around(true).unwrap(), [vec![1], vec![], vec![]]);
    for tokenizer in ["plain", "own"] {
        let set = format!("--set tokenizer.path={tokenizer}/tokenizer.json");
        let run = format!("run small.toml --set tokenizer.begin_token=true {set}");
        workspace.babyllama(&format!("{run} --only teacher --output of-{tokenizer}")).done();
        let found = tokens(&workspace, &format!("of-{tokenizer}/tokens/train.bin"));
        assert_eq!(found[0], 1);
    }
    assert_eq!(
        workspace.bytes("of-own/tokenizer/tokenizer.json"),
        workspace.bytes("of-plain/tokenizer/tokenizer.json")
    );
}
