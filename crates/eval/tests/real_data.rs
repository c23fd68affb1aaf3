//! Checks against the benchmark files themselves, which are not in the repository:
//! `BABYLLAMA_DATA=FOLDER cargo test --release -p eval --test real_data -- --ignored`

use std::path::PathBuf;

use eval::pairs::read_folder;
use eval::rules::group_of;

fn data() -> PathBuf {
    let folder = std::env::var_os("BABYLLAMA_DATA").expect("BABYLLAMA_DATA names the folder with eval/blimp_filtered");
    PathBuf::from(folder).join("eval")
}

#[test]
#[ignore = "needs the BLiMP files"]
fn blimp_filtered_has_its_67_tasks_and_7_identical_pairs() {
    let tasks = read_folder(&data().join("blimp_filtered")).unwrap();
    assert_eq!(tasks.len(), 67);
    assert_eq!(tasks.iter().map(|task| task.pairs.len()).sum::<usize>(), 59_875);
    let identical = |task: &eval::Task| task.pairs.iter().filter(|pair| pair.good == pair.bad).count();
    let found: Vec<_> =
        tasks.iter().map(|task| (task.name.as_str(), identical(task))).filter(|(_, n)| *n > 0).collect();
    assert_eq!(found, [("passive_1", 2), ("principle_A_case_2", 5)]);
    // Every task belongs to a group of 2023, none of which is named after it.
    assert!(tasks.iter().all(|task| group_of(&task.name) != task.name));
}

#[test]
#[ignore = "needs the supplement's files"]
fn the_supplement_has_its_five_tasks() {
    let tasks = read_folder(&data().join("supplement_filtered")).unwrap();
    let sizes: Vec<_> = tasks.iter().map(|task| (task.name.as_str(), task.pairs.len())).collect();
    let expected = [
        ("hypernym", 842),
        ("qa_congruence_easy", 64),
        ("qa_congruence_tricky", 165),
        ("subject_aux_inversion", 3867),
        ("turn_taking", 280),
    ];
    assert_eq!(sizes, expected);
}
