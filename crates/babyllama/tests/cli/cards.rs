//! The card of an exported model.

use super::common::{STUDENT, TEACHER, Workspace};

const EXPORT: &str = "export runs/small --model student --output exported";

#[test]
fn an_exported_model_has_a_card_of_its_run() {
    let workspace = Workspace::trained();
    workspace.babyllama(&format!("{EXPORT} --license mit --language en,de")).done();
    let card = workspace.text("exported/README.md");
    let scores = workspace.json("runs/small/evaluation/student.json");
    let loss = scores["held_out_loss"].as_f64().unwrap();
    let accuracy = scores["pairs"]["pairs"]["score"].as_f64().unwrap();
    for part in [
        "---\nlicense: \"mit\"\nlanguage:\n- \"en\"\n- \"de\"\nlibrary_name: transformers\n",
        "pipeline_tag: \"text-generation\"\n",
        "- name: \"student of small\"\n",
        &format!("value: {loss}\n"),
        &format!("value: {accuracy}\n"),
        "its teachers (teacher)",
        "[models.student.distill]\n",
        "AutoModelForCausalLM",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
    // Nothing else of the folder is known of the text, and the teacher's settings are its own.
    for absent in ["datasets:", "[models.teacher]", "llama.cpp"] {
        assert!(!card.contains(absent), "{absent}: {card}");
    }
    // It goes with the model, and stays where a person changed it.
    let again = format!("{} --replace", EXPORT.replace("student", "teacher"));
    workspace.babyllama(&again).done();
    assert!(workspace.text("exported/README.md").contains("# teacher of small\n"));
    workspace.replace("exported/README.md", "# teacher", "# Our teacher");
    let finished = workspace.babyllama(&format!("{EXPORT} --replace")).done();
    assert!(finished.stderr.contains("exported/README.md stays as it is"), "{}", finished.stderr);
    assert!(workspace.text("exported/README.md").contains("# Our teacher of small\n"));
    assert!(workspace.weights("exported") == workspace.weights(STUDENT));
}

#[test]
fn a_card_states_what_is_not_known() {
    let workspace = Workspace::trained();
    // Scores of weights that were trained again since.
    workspace.babyllama("run small.toml --set teacher.train.epochs=1 --only teacher").done();
    std::fs::remove_file(workspace.path("runs/small/stages/evaluate-teacher.json")).unwrap();
    let export = EXPORT.replace("student", "teacher");
    workspace.babyllama(&export).done();
    let card = workspace.text("exported/README.md");
    assert!(card.contains("None are recorded for these weights."), "{card}");
    assert!(card.contains("How many words the model has seen is not recorded."), "{card}");
    assert!(!card.contains("model-index") && !card.contains("license"), "{card}");
    // Without the recipe there is a card of what the weights are.
    workspace.write("runs/small/recipe.toml", "[");
    workspace.babyllama(&format!("{export} --replace")).done();
    let card = workspace.text("exported/README.md");
    assert!(card.contains("The recipe of the training is not known."), "{card}");
    assert!(card.contains("| parameters | ") && !card.contains("## Recipe"), "{card}");
    assert!(workspace.weights("exported") == workspace.weights(TEACHER));
}

#[test]
fn what_a_hub_would_not_take_is_refused_before_any_work() {
    let workspace = Workspace::new();
    let refused = |words: &[&str]| {
        let all = ["export", "runs/none", "--model", "a", "--output", "exported"];
        workspace.finish(workspace.command(&[&all[..], words].concat())).refused(2)
    };
    refused(&["--language", ""]).names(&["--language", "language code (BCP 47)"]);
    refused(&["--language", "english"]).names(&["english", "such as en"]);
    refused(&["--language", "en,,de"]).names(&["language code"]);
    refused(&["--license", "MIT"]).names(&["MIT", "did you mean `mit`?"]);
    refused(&["--license", ""]).names(&["no such licence", "`other`"]);
    refused(&["--license", "free beer"]).names(&["no such licence"]);
    refused(&["--dataset", "a b"]).names(&["OWNER/NAME"]);
    assert!(!workspace.path("exported").exists());
}

#[test]
fn a_model_goes_into_a_new_repository_whose_card_stays() {
    let workspace = Workspace::trained();
    workspace.write("exported/README.md", "# Ours\n");
    workspace.write("exported/.gitattributes", "*.safetensors filter=lfs\n");
    let export = "export runs/small --model student --output exported --license other";
    let finished = workspace.babyllama(export).done();
    assert!(finished.stderr.contains("exported/README.md stays as it is"), "{}", finished.stderr);
    assert_eq!(workspace.text("exported/README.md"), "# Ours\n");
    assert!(workspace.weights("exported") == workspace.weights(STUDENT));
    workspace.babyllama(export).done();
    assert_eq!(workspace.text("exported/README.md"), "# Ours\n");
    let other = export.replace("student", "teacher");
    workspace.babyllama(&other).refused(1).names(&["holds a model already"]).advises("--replace");
}
