//! World knowledge, from invented items in EWoK's forms.

use super::common::{STUDENT, TEACHER, Workspace};

const HEAD: &str = "Domain,Context1,Context2,Target1,Target2\n";

/// Two items of each of two domains, as the official data set has them.
fn items() -> Vec<[&'static str; 5]> {
    vec![
        [
            "places",
            "The dog is in the house.",
            "The dog is in the garden.",
            "The dog is inside.",
            "The dog is outside.",
        ],
        [
            "feelings",
            "The king has a cake.",
            "The king has no cake.",
            "The king is glad.",
            "The king is sad.",
        ],
        [
            "places",
            "The bird sits on the roof.",
            "The bird sits under it.",
            "The bird is high.",
            "The bird is low.",
        ],
        [
            "feelings",
            "The child laughs.",
            "The child weeps.",
            "The child is glad.",
            "The child is sad.",
        ],
    ]
}

fn line([_, context1, context2, target1, target2]: [&str; 5]) -> String {
    let item = serde_json::json!({
        "Context1": context1,
        "Context2": context2,
        "Target1": target1,
        "Target2": target2,
    });
    format!("{item}\n")
}

/// The items of a domain as the pipeline of 2024 has them.
fn pipeline_file(domain: &str) -> String {
    let of_domain = items().into_iter().filter(|item| item[0] == domain);
    of_domain
        .map(|item| line(item) + &line([item[0], item[2], item[1], item[4], item[3]]))
        .collect()
}

#[test]
fn both_forms_of_the_items_give_the_same_scores() {
    let workspace = Workspace::trained();
    let rows: String = items().iter().map(|item| item.join(",") + "\n").collect();
    workspace.write("ewok.csv", format!("{HEAD}{rows}"));
    for domain in ["places", "feelings"] {
        workspace.write(&format!("ewok/{domain}.jsonl"), pipeline_file(domain));
    }
    let score = |rest: &str| {
        let finished =
            workspace.babyllama(&format!("evaluate ewok {rest} --json ewok.json")).done();
        (finished.stdout, workspace.json("ewok.json"))
    };
    let (table, from_folder) = score(&format!("{TEACHER} {STUDENT} --data ewok --output results"));
    let names: Vec<&str> =
        table.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["feelings", "places", "mean", "ties"]);
    let (_, from_file) = score(&format!("{TEACHER} {STUDENT} --data ewok.csv"));
    assert_eq!(from_folder, from_file);
    assert_eq!(workspace.json("results/student/ewok/result.json"), from_file[1]["ewok"]);
    assert_eq!(workspace.text("results/teacher/ewok/predictions.jsonl").lines().count(), 8);

    let (_, official) =
        score(&format!("{STUDENT} --data ewok.csv --variant official --output results"));
    assert_eq!(official[0]["ewok"]["suite"], "ewok_official");
    assert_eq!(workspace.json("results/student/ewok_official/result.json"), official[0]["ewok"]);
    let answers =
        |suite: &str| workspace.text(&format!("results/student/{suite}/predictions.jsonl"));
    assert_ne!(answers("ewok"), answers("ewok_official"));
}

#[test]
fn items_that_are_wrong() {
    let workspace = Workspace::trained();
    let refused = |data: &str| {
        workspace.babyllama(&format!("evaluate ewok {STUDENT} --data {data}")).refused(1)
    };
    workspace.write("short.csv", format!("{HEAD}places,a,b,c\n"));
    refused("short.csv").names(&["short.csv, line 2: 4 fields"]).advises("mend that line");
    workspace.write("torn/places.jsonl", pipeline_file("places") + &line(items()[0]));
    refused("torn")
        .names(&["torn/places.jsonl, line 5: no line with contexts and targets swapped"]);
    workspace.write("fieldless.jsonl", line(items()[0]).replace("Target1", "Target"));
    refused("fieldless.jsonl").names(&["fieldless.jsonl, line 1: no field `Target1`"]);
    refused("text").names(&["text has no .jsonl, .json or .csv file"]).advises("Context1");
    refused("none.csv").names(&["none.csv"]).advises("check the path");
}

/// A word that the list lacks takes its item away, with the swapped twin and from wherever it
/// stands.
#[test]
fn ones_own_copy_is_filtered_by_a_list_of_words() {
    let workspace = Workspace::trained();
    let rows: String = items().iter().map(|item| item.join(",") + "\n").collect();
    workspace.write("ewok.csv", format!("{HEAD}{rows}"));
    let words = "the dog is in house garden inside outside king has a no cake glad sad child \
     laughs . bird sits on roof";
    workspace.write("vocab.txt", words.replace(' ', "\n"));
    let filter =
        |rest: &str| workspace.babyllama(&format!("evaluate filter-ewok --data ewok.csv {rest}"));
    let shown = filter("--vocabulary vocab.txt --output data/ewok_filtered").done().stdout;
    let counts: Vec<Vec<&str>> =
        shown.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(counts, [["feelings", "4", "2"], ["places", "4", "2"], ["all", "8", "4"]]);
    assert_eq!(workspace.names("data/ewok_filtered"), ["feelings.jsonl", "places.jsonl"]);
    let kept = workspace.text("data/ewok_filtered/feelings.jsonl");
    assert_eq!((kept.lines().count(), kept.matches("The king has no cake.").count()), (2, 2));
    workspace
        .babyllama(&format!("evaluate all {STUDENT} --data data --only ewok --output results"))
        .done();
    assert_eq!(workspace.json("results/student/ewok/result.json")["items"], 4);

    let again = filter("--vocabulary vocab.txt --output data/ewok_filtered").refused(1);
    again.names(&["data/ewok_filtered is not empty"]).advises("--output");
    filter("--vocabulary none.txt --output other")
        .refused(1)
        .names(&["none.txt"])
        .advises("check the path");
    for (domains, cause) in
        [(["a/b", "a-b"], "two domains would be a-b.jsonl"), (["a", " "], "an item has no domain")]
    {
        let rows: String =
            domains.map(|domain| format!("{domain},{}\n", items()[0][1..].join(","))).concat();
        workspace.write("odd.csv", format!("{HEAD}{rows}"));
        let odd = "evaluate filter-ewok --data odd.csv --vocabulary vocab.txt --output odd";
        workspace.babyllama(odd).refused(1).names(&[cause]).advises("domain");
        assert!(!workspace.path("odd").exists());
    }
    workspace.write("vocab.txt", "The\nDog\n");
    filter("--vocabulary vocab.txt --output other")
        .refused(1)
        .names(&["every item of ewok.csv"])
        .advises("lower case");
    assert!(!workspace.path("other").exists());
}
