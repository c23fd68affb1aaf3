//! `report` on whole, half-finished, broken and empty folders.

use super::common::{STUDENT, Workspace};

#[test]
fn a_run_ends_with_its_report() {
    let workspace = Workspace::new();
    let run = workspace.babyllama("run small.toml").done();
    let closing = "final. The report is runs/small/report.html.";
    assert!(run.stdout.contains(closing), "{}", run.stdout);
    let quiet = workspace.babyllama("run small.toml --quiet").done().stdout;
    assert!(quiet.contains("up to date. The report is runs/small/report.html."), "{quiet}");
    let page = workspace.text("runs/small/report.html");
    for part in ["teacher", "student", "held-out loss", "by task", "The whole recipe", "draw"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("class=\"missing\""), "nothing is missing");
    let both = "report runs/small runs/other --output both.html --figures figures";
    workspace.babyllama("run small.toml --set student.train.epochs=1 --output runs/other").done();
    workspace.babyllama(both).done();
    let page = workspace.text("both.html");
    assert!(page.contains("models.student.train.epochs") && page.contains("small/student"));
    let files = workspace.names("figures");
    for name in ["held-out-loss.svg", "held-out-loss.csv"] {
        assert!(files.iter().any(|file| file == name), "{files:?}");
    }
    assert!(files.iter().any(|file| file.ends_with(".tex")), "{files:?}");
}

#[test]
fn the_work_of_a_student_begins_behind_that_of_its_teachers() {
    let workspace = Workspace::trained();
    workspace.babyllama("report runs/small --figures figures").done();
    let exposure = workspace.json("runs/small/exposure.json");
    let flops = |model: &str, key: &str| exposure[model][key].as_f64().unwrap();
    let csv = workspace.text("figures/training-loss.csv");
    let (head, rows) = csv.split_once('\n').unwrap();
    assert_eq!(head, "series,step,epoch,tokens,seconds,flops,value");
    for model in ["teacher", "student"] {
        let of_model = rows.lines().filter(|row| row.starts_with(&format!("{model},")));
        let cells = of_model.map(|row| row.split(',').collect::<Vec<_>>());
        let numbers = cells.map(|cells| [cells[3], cells[5]].map(|cell| cell.parse().unwrap()));
        let steps: Vec<[f64; 2]> = numbers.collect();
        let (own, all) = (flops(model, "flops"), flops(model, "flops_with_teachers"));
        let tokens = steps[71][0];
        for [done, work] in &steps {
            let expected = all - own + own * done / tokens;
            assert!((work / expected - 1.0).abs() < 1e-5, "{model}: {expected} {steps:?}");
        }
    }
    assert!(flops("student", "flops_with_teachers") > flops("student", "flops"));
}

#[test]
fn a_run_measures_the_loss_of_each_source_and_records_its_machine() {
    let workspace = Workspace::trained();
    let scores = workspace.json("runs/small/evaluation/student.json");
    let (mut sum, mut tokens) = (0.0, 0.0);
    for source in scores["sources"].as_array().unwrap() {
        let count = source["predicted_tokens"].as_f64().unwrap();
        (sum, tokens) = (sum + count * source["loss"].as_f64().unwrap(), tokens + count);
    }
    let all = scores["held_out_loss"].as_f64().unwrap();
    assert!((sum / tokens - all).abs() < 1e-9, "{sum} of {tokens} tokens is not {all}");
    // The same as of the text itself, which is encoded anew.
    let text = "--data runs/small/corpus/validation --sequence-length 16 --json loss.json";
    workspace.babyllama(&format!("evaluate loss {STUDENT} {text}")).done();
    let files = &workspace.json("loss.json")[0]["files"];
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let source = &scores["sources"][index];
        assert_eq!((&source["file"], &source["loss"]), (&name.into(), &files[index]["loss"]));
        assert!(files[index]["file"].as_str().unwrap().starts_with(name));
    }
    // Without the places of the files, as earlier versions left the tokens, they are counted.
    std::fs::remove_file(workspace.path("runs/small/tokens/validation_sources.json")).unwrap();
    workspace.babyllama("run small.toml").done();
    assert_eq!(workspace.json("runs/small/evaluation/student.json")["sources"], scores["sources"]);
    let end = &workspace.json("runs/small/stages/model-student.json")["end"];
    assert!(end["seconds"].as_f64().unwrap() > 0.0, "{end}");
    assert_eq!(
        (&end["machine"]["threads"], &end["machine"]["precision"]),
        (&1.into(), &"f32".into())
    );
    assert_eq!(end["machine"]["version"], env!("CARGO_PKG_VERSION"));
    workspace.babyllama("report runs/small").done();
    let page = workspace.text("runs/small/report.html");
    for part in ["Held-out loss by source of text", "All of it on: ", "model-student", "1 thread"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let workspace = Workspace::trained();
    let run = "runs/small";
    let missing = |what: &str| {
        workspace.babyllama("report runs/small --output page.html").done();
        let page = workspace.text("page.html");
        let lines: Vec<&str> = page.lines().filter(|line| line.contains("Not here")).collect();
        assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:?}");
    };
    let log = workspace.bytes("runs/small/models/student/metrics.jsonl");
    workspace.write("runs/small/models/student/metrics.jsonl", [&log[..], b"\xff{}\n"].concat());
    missing("some steps of student");
    std::fs::remove_file(workspace.path("runs/small/stages/model-student.json")).unwrap();
    workspace.write("runs/small/models/student/metrics.jsonl", &log[..log.len() - 20]);
    missing("the last line of its log was not finished");
    // A training by itself is known without its log.
    for file in ["finished.json", "summary.json"] {
        let record = workspace.bytes(&format!("runs/small/models/teacher/{file}"));
        workspace.write(&format!("alone/{file}"), record);
    }
    workspace.babyllama("report alone --output alone.html").done();
    assert!(workspace.text("alone.html").contains("curves of"));
    workspace.write("runs/small/models/teacher/summary.json", "{");
    missing("summary of teacher");
    workspace.write("runs/small/evaluation/student.json", "[]");
    missing("scores of student");
    workspace.write("runs/small/recipe.toml", "= 3");
    missing("recipe");
    std::fs::remove_dir_all(workspace.path("runs/small/models")).unwrap();
    missing("scores of");
    for inside in workspace.names(run) {
        let path = workspace.path(&format!("{run}/{inside}"));
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
    }
    workspace.babyllama("report runs/small").refused(1).names(&["holds no results"]);
    assert_eq!(workspace.names(run), [""; 0]);
    workspace.babyllama("report runs/none").refused(1).names(&["runs/none"]);
    workspace.babyllama("report runs/small runs/small").refused(2).names(&["named twice"]);
    workspace.write("notes.html", "<html>mine</html>");
    workspace.babyllama("report runs/small --output notes.html").refused(1);
    assert_eq!(workspace.text("notes.html"), "<html>mine</html>");
}

#[test]
fn a_table_of_metrics_replaces_no_other_file() {
    let workspace = Workspace::trained();
    let log = "runs/small/models/student/metrics.jsonl";
    let before = workspace.bytes(log);
    workspace.write("notes.csv", "mine\n");
    for place in [log, "runs/small/table.md", "notes.csv"] {
        workspace.babyllama(&format!("report runs/small --csv {place}")).refused(1).names(&[place]);
    }
    assert_eq!((workspace.bytes(log), workspace.text("notes.csv").as_str()), (before, "mine\n"));
    let same = "report runs/small --output page.html --csv ./page.html";
    workspace.babyllama(same).refused(2).names(&["--csv and --output"]);
    for place in ["metrics.csv", "runs/small/metrics.csv"] {
        workspace.babyllama(&format!("report runs/small --csv {place}")).done();
        workspace.babyllama(&format!("report runs/small --csv {place}")).done();
        assert!(workspace.text(place).starts_with("run,model,"));
    }
}
