//! `evaluate aoa` and `evaluate compare`, on what a run has made.

use super::common::{STUDENT, TEACHER, Workspace};

const HEADER: &str =
    "language,uni_lemma,lexical_category,category,definition,word_clean,aoa,concreteness,frequency";

/// Words of the workspace's text in the three categories, with made-up ages.
fn word_list() -> String {
    let nouns = "dog,cat,bird,child,mother,teacher,farmer,king,garden,house";
    let predicates = "sees,likes,finds,follows,calls,helps,big,small,old,young";
    let function_words = "the,in,near,again,today,in the,near the,unicorn";
    let lists = [("nouns", nouns), ("predicates", predicates), ("function_words", function_words)];
    let all = lists
        .iter()
        .flat_map(|(category, words)| words.split(',').map(move |word| (word, category)));
    let mut text = format!("{HEADER}\n");
    for (index, (word, category)) in all.enumerate() {
        let (age, concreteness) = (18 + index * 7 % 13, 1 + index * 5 % 4);
        let frequency = 10 + index * index * 37 % 1000;
        text.push_str(&format!(
            "English,{word},{category},x,{word},{word},{age}.5,{concreteness}.25,{frequency}\n"
        ));
    }
    text
}

fn trained() -> Workspace {
    let workspace = Workspace::trained();
    workspace.write("words.csv", word_list());
    workspace
}

#[test]
fn ages_are_predicted_for_each_model_and_ensemble() {
    let workspace = trained();
    let ages = |rest: &str| {
        workspace
            .babyllama(&format!("evaluate aoa {rest} --words words.csv --json aoa.json"))
            .done();
        workspace.json("aoa.json")
    };
    let found = ages(&format!("{TEACHER} {STUDENT} --contexts text --output results"));
    for (index, name) in ["teacher", "student"].into_iter().enumerate() {
        let written =
            |file: &str| workspace.json(&format!("results/{name}/aoa_prediction/{file}.json"));
        assert_eq!(written("mean_absolute_deviation_results"), found[index]["aoa"]);
        assert_eq!(found[index]["precision"], "f32");
        assert_eq!(written("data")["precision"], "f32");
        let words = written("extracted_average_surprisals");
        assert_eq!(words.as_object().unwrap().len(), 28);
        assert_eq!(words["unicorn"], serde_json::json!([0.0, 0]));
        assert!(
            words["dog"][0].as_f64().unwrap() > 0.0 && words["dog"][1].as_u64().unwrap() >= 100
        );
        let score = &found[index]["aoa"];
        let counts = ["n", "n_noun", "n_predicate", "n_functionword"]
            .map(|key| score[key].as_u64().unwrap());
        assert_eq!(counts, [27, 10, 10, 7]);
        assert!(score["overall_mad"].as_f64().unwrap() > 0.0);
        assert_eq!(
            (&found[index]["words_found"], &found[index]["as_published"]),
            (&27.into(), &false.into())
        );
    }
    assert_ne!(found[0]["aoa"], found[1]["aoa"]);

    // A model is its own ensemble, whatever the threads.
    let alone = ages(&format!("{STUDENT} {STUDENT} --ensemble --contexts text --threads 3"));
    let difference =
        |key: &str| alone[0]["aoa"][key].as_f64().unwrap() - found[1]["aoa"][key].as_f64().unwrap();
    assert!(difference("overall_mad").abs() < 1e-3 && difference("noun_mad").abs() < 1e-3);

    let few = ages(&format!("{STUDENT} --contexts text/a.train --contexts-per-word 2"));
    assert!(few[0]["contexts"].as_u64() < alone[0]["contexts"].as_u64());
    let published = ages(&format!("{STUDENT} --contexts text --as-published"));
    assert_eq!(published[0]["as_published"], true);
    assert_ne!(published[0]["aoa"]["overall_mad"], found[1]["aoa"]["overall_mad"]);

    // The same contexts as a list give the same numbers.
    let lines = workspace.text("text/a.train");
    let words: Vec<String> =
        word_list().lines().skip(1).map(|row| row.split(',').nth(5).unwrap().to_owned()).collect();
    let entry = |line: &str| serde_json::json!({ "sent": line, "words": words });
    let list: Vec<_> = lines.lines().map(entry).collect();
    workspace.write("sent_words.json", serde_json::to_string(&list).unwrap());
    let of_list = ages(&format!("{STUDENT} --contexts sent_words.json"));
    let of_text = ages(&format!("{STUDENT} --contexts text/a.train --contexts-per-word 1000"));
    assert_eq!(of_list[0]["aoa"], of_text[0]["aoa"]);
}

#[test]
fn the_table_has_the_printed_baselines() {
    let workspace = trained();
    let table = workspace
        .babyllama(&format!("evaluate aoa {STUDENT} --words words.csv --contexts text"))
        .done()
        .stdout;
    let head = table.lines().next().unwrap();
    assert!(
        head.contains("error in months")
            && head.contains("student")
            && head.contains("RoBERTa-base"),
        "{table}"
    );
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("overall").contains(" 27 ") && row("overall").ends_with("2.04"), "{table}");
    assert!(row("function words").ends_with("2.64"), "{table}");
}

#[test]
fn lists_and_contexts_that_tell_nothing_are_refused() {
    let workspace = trained();
    let ages = |rest: &str| workspace.babyllama(&format!("evaluate aoa {STUDENT} {rest}"));
    workspace.write("header.csv", "word,aoa\ndog,20\n");
    ages("--words header.csv --contexts text")
        .refused(1)
        .names(&["header.csv, line 1", "`word,aoa`"])
        .advises("2023");
    workspace.write("number.csv", format!("{HEADER}\nE,a,nouns,a,a,dog,early,4,30\n"));
    let number = ages("--words number.csv --contexts text").refused(1);
    number
        .names(&["number.csv, line 2: aoa is `early`; it must be a number"])
        .advises("mend that line");
    workspace.write("quote.csv", format!("{HEADER}\nE,|a,nouns,a,a,dog,20,4,30\n"));
    ages("--words quote.csv --contexts text")
        .refused(1)
        .names(&["quote.csv, line 2: a quote that never ends"]);
    ages("--words none.csv --contexts text")
        .refused(1)
        .names(&["none.csv"])
        .advises("check the path");

    workspace.write("foreign/x.txt", "Nothing to see here.\n");
    let none = ages("--words words.csv --contexts foreign").refused(1);
    none.names(&["no word of the list occurs in the contexts"]).advises("take more text");
    workspace.write("bad.json", "[{\"sent\": \"a dog\"}]");
    let json = ages("--words words.csv --contexts bad.json").refused(1);
    json.names(&["bad.json", "missing field `words`"]).advises("sent_words.json");
    workspace.write("few/x.txt", "The dog sees the cat.\n");
    let few = ages("--words words.csv --contexts few --output results").refused(1);
    few.names(&["2 nouns, 1 predicates and 1 function words"]).advises("take more text");
    assert_eq!(
        workspace.names("results/student/aoa_prediction"),
        ["extracted_average_surprisals.json"]
    );
    ages("--words words.csv --contexts text --contexts-per-word 0")
        .refused(2)
        .names(&["--contexts-per-word is 0"]);
}

#[test]
fn answers_to_the_same_items_are_compared() {
    let workspace = Workspace::trained();
    workspace
        .babyllama(&format!("evaluate blimp {TEACHER} {STUDENT} --data pairs --output results"))
        .done();
    let compare = |rest: &str| workspace.babyllama(&format!("evaluate compare {rest}"));
    let (teacher, student) = ("results/teacher/pairs", "results/student/pairs");
    let model = compare(&format!("{teacher} {STUDENT}")).refused(1);
    model.names(&[STUDENT, "is a model without answers"]).advises("--output scores");
    let table = compare(&format!("{teacher} {student} --json comparison.json")).done().stdout;
    assert!(table.contains("A: results/teacher/pairs\nB: results/student/pairs\n"), "{table}");
    let found = workspace.json("comparison.json");
    for (unit, task) in ["agreement", "order"].into_iter().enumerate() {
        let unit = &found["units"][unit];
        assert_eq!(unit["name"], task);
        for (side, folder) in [("first", teacher), ("second", student)] {
            let result = workspace.json(&format!("{folder}/result.json"));
            let tasks = result["tasks"].as_array().unwrap().clone();
            let known = tasks.iter().find(|known| known["name"] == task).unwrap();
            assert_eq!((&unit[side], &unit["items"]), (&known["score"], &known["items"]));
        }
        assert!(
            table.lines().any(|line| line.starts_with(task) && line.contains(" to ")),
            "{table}"
        );
    }
    let mean = &found["mean"];
    for (side, folder) in [("first", teacher), ("second", student)] {
        assert_eq!(mean[side], workspace.json(&format!("{folder}/result.json"))["score"]);
    }
    let interval = |end: &str| mean["interval"][end].as_f64().unwrap();
    let difference = mean["difference"].as_f64().unwrap();
    assert!(interval("low") <= difference && difference <= interval("high"));

    // Files do as well as folders, threads change nothing, another seed does.
    let files = format!(
        "{teacher}/predictions.jsonl {student}/predictions.jsonl --json files.json --threads 3"
    );
    compare(&files).done();
    assert_eq!(workspace.json("files.json")["units"], found["units"]);
    compare(&format!("{teacher} {student} --json seed.json --seed 7 --resamples 100")).done();
    assert_ne!(workspace.json("seed.json")["mean"]["interval"], mean["interval"]);
    compare(&format!("{teacher} {teacher} --json same.json")).done();
    assert_eq!(workspace.json("same.json")["mean"]["permutation_p"], 1.0);

    // Groups of 2023 pool their tasks, here each its own.
    workspace
        .babyllama(&format!(
            "evaluate blimp {TEACHER} {STUDENT} --data pairs --rules 2023 --output by-2023"
        ))
        .done();
    compare("by-2023/teacher/pairs by-2023/student/pairs --json groups.json").done();
    assert_eq!(workspace.json("groups.json")["units"].as_array().unwrap().len(), 2);
}

#[test]
fn answers_to_other_items_are_refused() {
    let workspace = Workspace::trained();
    workspace.babyllama(&format!("evaluate blimp {STUDENT} --data pairs --output results")).done();
    let student = "results/student/pairs";
    let answers = workspace.text(&format!("{student}/predictions.jsonl"));
    let compare = |rest: &str| workspace.babyllama(&format!("evaluate compare {student} {rest}"));
    let cut: String = answers
        .lines()
        .filter(|line| !line.contains("order"))
        .map(|line| format!("{line}\n"))
        .collect();
    workspace.write("cut/predictions.jsonl", &cut);
    compare("cut")
        .refused(1)
        .names(&["task `order` is only in the first file"])
        .advises("same files");
    let fewer: Vec<&str> = cut.lines().collect();
    let one_less = format!("{}\n", fewer[..fewer.len() - 1].join("\n"));
    workspace.write("fewer.jsonl", answers.replace(&cut, &one_less));
    compare("fewer.jsonl")
        .refused(1)
        .names(&["task `agreement` has 16 items in the first file and 15"]);
    workspace.write("other.jsonl", answers.replacen("\"gold\":0", "\"gold\":1", 1));
    compare("other.jsonl")
        .refused(1)
        .names(&["item 0 of task `agreement` has another right answer"]);
    workspace.write("broken.jsonl", "{\"task\": 1}\n");
    compare("broken.jsonl").refused(1).names(&["broken.jsonl, line 1: bad JSON"]);
    compare("nowhere").refused(1).names(&["nowhere"]).advises("check the path");
    let by_2023 = "--data pairs --rules 2023 --output by-2023";
    workspace.babyllama(&format!("evaluate blimp {STUDENT} {by_2023}")).done();
    compare("by-2023/student/pairs")
        .refused(1)
        .names(&["by the rules of 2024 and of 2023"])
        .advises("by the same --rules");
    workspace.write("odd/predictions.jsonl", &answers);
    workspace.write("odd/result.json", "{}");
    compare("odd").refused(1).names(&["odd/result.json does not hold a benchmark's scores"]);
    compare(&format!("{student} --resamples 0")).refused(2).names(&["--resamples is 0"]);
    compare(&format!("{student} --confidence 1")).refused(2).names(&["--confidence is 1"]);
}
