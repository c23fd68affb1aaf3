//! What defines a sweep: recipes that are refused, studies of other programs, shipped sweeps.

use std::path::Path;

use sweep::store::{Address, Store};
use sweep::sweep::{Draft, Sweep};
use toml::Value;

use super::common::{Search, standings, work};

#[test]
fn a_changed_recipe_is_refused_and_more_trials_are_not() {
    let search = Search::new("trials = 3\nstop = { rule = 'none' }");
    let mut sweep = search.open("s");
    work(&mut sweep);
    for (keys, difference) in [
        ("trials = 3\nseed = 2\nstop = { rule = 'none' }", "`seed` was left out and is 2"),
        ("trials = 3\nstop = { rule = 'asha' }", "`stop.rule` was \"none\" and is \"asha\""),
    ] {
        let message = search.create(keys).unwrap_err().to_string();
        assert!(message.ends_with(difference), "{message}");
    }
    search.create("trials = 5\nretries = 4\nstop = { rule = 'none' }").unwrap();
    let mut sweep = search.open("s");
    work(&mut sweep);
    assert_eq!(standings(&mut sweep), [5, 0, 0, 0]);
    let checked = sweep.check().unwrap();
    assert_eq!((checked.same, checked.differs), (5, vec![]));
}

#[test]
fn recipes_that_cannot_be_used_name_the_key() {
    let search = Search { folder: tempfile::tempdir().unwrap() };
    for (keys, message) in [
        ("trials = 0", "`trials` is 0; give how many to train"),
        ("trials = 2\nsampler = 'grit'", "sampler"),
        (
            "trials = 2\nobjective = { metric = 'blimp' }\nstop = { rule = 'none' }",
            "`objective.metric` is `blimp`",
        ),
        ("trials = 2\nobjective = { metric = 'builtin' }", "`stop` compares validation losses"),
        ("trials = 2\nstop = { rule = 'asha', eta = 1 }", "`eta` is 1"),
        ("trials = 2\nsampels = 3", "unknown key `sampels`"),
        ("trials = 2\nseeds = 'old'", "should be \"fresh\" or a whole number"),
        ("trials = 2\nheartbeat_seconds = 0", "`heartbeat_seconds` should be from 0.1"),
    ] {
        let found = search.create(keys).unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
        assert!(
            !search.address().to_string().is_empty() && !search.place().join("store.db").exists()
        );
    }
    let path = search.write("trials = 2");
    let with = |key: &str| {
        let overrides = [key.to_owned()];
        let draft = Draft::read(&path, &overrides);
        draft.and_then(|draft| draft.create(&search.place(), &search.address()))
    };
    for (key, message) in [
        ("space.\"train.learning_rate\"={ uniform = [2, 1] }", "train.learning_rate"),
        ("models.undistilled.train.epoch=3", "did you mean"),
        ("model=undistiled", "did you mean `undistilled`?"),
    ] {
        let found = with(key).unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
    }
}

#[test]
fn a_study_of_another_program_is_read_and_not_worked_on() {
    let search = Search::new("trials = 2");
    let mut store = Store::open(&search.address()).unwrap();
    store.create_study("python", sweep::store::Direction::Minimize, &[]).unwrap();
    let error = Sweep::open(&search.place(), &search.address(), "python").err().unwrap();
    assert_eq!(error.to_string(), "the study `python` was not made by `babyllama sweep create`");
}

#[test]
fn a_study_of_optuna_goes_on_as_a_sweep_and_its_trials_count() {
    let search = Search { folder: tempfile::tempdir().unwrap() };
    std::fs::create_dir_all(search.place()).unwrap();
    let Address::Sqlite(path) = search.address() else { panic!() };
    let database = rusqlite::Connection::open(path).unwrap();
    database.pragma_update(None, "foreign_keys", "OFF").unwrap();
    database.execute_batch(include_str!("../fixtures/optuna.sql")).unwrap();
    std::fs::write(search.place().join("store.txt"), format!("{}\n", search.address())).unwrap();
    let keys = "trials = 12\nsampler = 'gp'\nstop = { rule = 'none' }";
    let path = search.write(keys);
    let overrides = ["name=python".to_owned()];
    let draft = Draft::read(&path, &overrides).unwrap();
    draft.create(&search.place(), &search.address()).unwrap();
    let mut sweep = search.open("python");
    work(&mut sweep);
    let trials = sweep.trials().unwrap();
    assert_eq!(trials.len(), 12);
    // The point that Python enqueued is trained, and the trial that Python runs is left alone.
    assert_eq!(sweep.settings(&trials[6], None)["train.warmup_ratio"], Value::Float(0.25));
    assert_eq!(trials[5].row.state, sweep::store::TrialState::Running);
    let checked = sweep.check().unwrap();
    assert_eq!((checked.same, checked.differs), (5, vec![]));
    let maximize = ["name=python".to_owned(), "objective.goal=maximize".to_owned()];
    let refused = Draft::read(&path, &maximize).unwrap().create(&search.place(), &search.address());
    assert!(refused.unwrap_err().to_string().contains("`objective"), "another recipe");
}

/// The teachers' recipe names data that is not here, so its base is not read.
#[test]
fn every_shipped_sweep_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/sweeps");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = sweep::recipe::SweepFile::read(&path, &[]).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(file.recipe.name.as_str()));
        let again = sweep::recipe::SweepFile::parse(&path, &file.text().unwrap()).unwrap();
        assert_eq!((&again.recipe, &again.space), (&file.recipe, &file.space));
        for own in &file.enqueue {
            file.space.stored_of_values(&own.values).unwrap();
        }
        names.push(file.recipe.name);
    }
    names.sort();
    assert_eq!(names, ["babyllama-2-finetuning", "babyllama-2-teachers", "quickstart"]);
}
