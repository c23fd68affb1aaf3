//! Checks against the benchmark files themselves, which are not in the repository:
//! `BABYLLAMA_DATA=FOLDER cargo test --release -p eval --test real_data -- --ignored`

use std::path::PathBuf;
use std::sync::Arc;

use engine::cpu::Cpu;
use eval::blimp::groups::group_of;
use eval::minimal_pairs::read_folder;
use eval::{BlimpFiltered, Item, Rules, Scorer, score_choices};
use model::{Architecture, Model, ModelConfig};

fn data() -> PathBuf {
    let folder = std::env::var_os("BABYLLAMA_DATA")
        .expect("BABYLLAMA_DATA names the folder with eval/blimp_filtered");
    PathBuf::from(folder).join("eval")
}

fn is_identical(pair: &Item) -> bool {
    pair.choices[0] == pair.choices[1]
}

#[test]
#[ignore = "needs the BLiMP files"]
fn blimp_filtered_has_its_67_tasks_and_7_identical_pairs() {
    let tasks = read_folder(&data().join("blimp_filtered")).unwrap();
    assert_eq!(tasks.len(), 67);
    assert_eq!(tasks.iter().map(|task| task.items.len()).sum::<usize>(), 59_875);
    let identical = |task: &eval::Task| task.items.iter().filter(|item| is_identical(item)).count();
    let found: Vec<_> = tasks
        .iter()
        .map(|task| (task.name.as_str(), identical(task)))
        .filter(|(_, n)| *n > 0)
        .collect();
    assert_eq!(found, [("passive_1", 2), ("principle_A_case_2", 5)]);
    // Every task belongs to a group of 2023, none of which is named after it.
    assert!(tasks.iter().all(|task| group_of(&task.name) != task.name));
}

#[test]
#[ignore = "needs the supplement's files"]
fn the_supplement_has_its_five_tasks() {
    let tasks = read_folder(&data().join("supplement_filtered")).unwrap();
    let sizes: Vec<_> = tasks.iter().map(|task| (task.name.as_str(), task.items.len())).collect();
    let expected = [
        ("hypernym", 842),
        ("qa_congruence_easy", 64),
        ("qa_congruence_tricky", 165),
        ("subject_aux_inversion", 3867),
        ("turn_taking", 280),
    ];
    assert_eq!(sizes, expected);
}

/// A tiny model with random weights that reads bytes.
fn of_bytes() -> Model {
    let config = ModelConfig {
        vocab_size: 256,
        hidden_size: 16,
        intermediate_size: 24,
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 8,
        max_positions: 256,
        norm_epsilon: 1e-5,
        initializer_range: 0.4,
        ..ModelConfig::tiny(Architecture::LLAMA)
    };
    let device: Arc<dyn engine::Device> = Arc::new(Cpu::new());
    Model::new(config, &device, 1).unwrap()
}

#[test]
#[ignore = "needs the BLiMP files"]
fn identical_pairs_tie_and_count_as_correct() {
    let model = of_bytes();
    let scorer = Scorer::new(vec![&model]).unwrap();
    let tasks: Vec<_> = read_folder(&data().join("blimp_filtered"))
        .unwrap()
        .into_iter()
        .filter(|task| ["passive_1", "principle_A_case_2"].contains(&task.name.as_str()))
        .collect();
    let encode = |text: &str| Ok(text.bytes().map(u32::from).collect());
    let rules = Rules::Year2024;
    let found =
        score_choices(&BlimpFiltered, &scorer, &tasks, rules, 1, encode, |_, _| ()).unwrap();
    assert_eq!((found.result.tasks[0].ties, found.result.tasks[1].ties), (2, 5));
    for (task, answers) in tasks.iter().zip(&found.predictions) {
        let identical = task.items.iter().zip(answers).filter(|(item, _)| is_identical(item));
        assert!(identical.into_iter().all(|(_, answer)| answer.is_right() && answer.is_tie()));
    }
}
