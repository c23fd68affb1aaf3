//! Checks against the files of (Super)GLUE and MSGS themselves, which are not in the repository:
//! `BABYLLAMA_DATA=FOLDER cargo test --release -p eval --test classification_data -- --ignored`

use std::path::PathBuf;

use eval::classification::{Labels, Rows, classification_tasks, find_files, find_task};

fn data() -> PathBuf {
    let folder = std::env::var_os("BABYLLAMA_DATA")
        .expect("BABYLLAMA_DATA names the folder with eval/glue_filtered");
    PathBuf::from(folder).join("eval")
}

#[test]
#[ignore = "needs the files of (Super)GLUE"]
fn validation_files_have_the_sizes_of_the_pipeline_of_2024() {
    let sizes = [
        ("boolq", 1635),
        ("cola", 522),
        ("mnli", 4908),
        ("mnli-mm", 4916),
        ("mrpc", 204),
        ("multirc", 2424),
        ("qnli", 2732),
        ("qqp", 20215),
        ("rte", 139),
        ("sst2", 436),
        ("wsc", 52),
    ];
    for (name, size) in sizes {
        let task = find_task(name).unwrap();
        let rows = Rows::read(task, &find_files(&data(), task).validation.unwrap()).unwrap();
        assert_eq!(rows.rows.len(), size, "{name}");
        assert_eq!(rows.scored(), vec![true; size], "{name}");
    }
}

#[test]
#[ignore = "needs the files of (Super)GLUE and MSGS"]
fn all_files_are_read_and_have_all_labels() {
    for task in classification_tasks() {
        let files = find_files(&data(), task);
        let rows = Rows::read(task, &files.validation.unwrap()).unwrap();
        let scored = rows.scored().iter().filter(|&&scored| scored).count();
        if task.has_test_items {
            // A third of an ambiguous task's items is for the score, half of a control's.
            let parts = if task.name.ends_with("_control") { 2 } else { 3 };
            assert_eq!(scored * parts, rows.rows.len(), "{}", task.name);
        }
        let Some(training) = files.training else { continue };
        let labels = Labels::of(&Rows::read(task, &training).unwrap()).unwrap();
        assert_eq!(labels.count(), task.classes as usize, "{}", task.name);
    }
}
