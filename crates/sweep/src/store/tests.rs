//! The store on SQLite; `tests/postgres.rs` does the same on a server.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::*;

fn address(folder: &Path) -> Address {
    default_address(folder)
}

fn worker(name: &str, lease_seconds: f64) -> Worker {
    Worker { name: name.to_owned(), lease_seconds }
}

fn renew(store: &mut Store, lease: &Lease, worker: &Worker) -> Result<(), StoreError> {
    store.unlocked(lease.study, |change| change.renew(lease, worker))
}

fn insert_running(store: &mut Store, study: StudyId) -> TrialRow {
    store.locked(study, |change| change.insert(TrialState::Running)).unwrap()
}

#[test]
fn an_address_is_shown_without_its_password() {
    let shown = |text: &str| Address::parse(text).unwrap().to_string();
    assert_eq!(shown("sqlite:a/b.db"), "sqlite:a/b.db");
    assert_eq!(shown("sqlite:////a/b.db"), "sqlite:/a/b.db");
    assert_eq!(
        shown("postgresql://me:s3cret@host:5432/db?sslmode=disable&password=s3cret"),
        "postgresql://me@host:5432/db?sslmode=disable"
    );
    assert_eq!(shown("postgresql://host/db"), "postgresql://host/db");
    for bad in ["mysql://me:s3cret@host/db", "store.db", "sqlite:"] {
        let message = Address::parse(bad).unwrap_err().to_string();
        assert!(message.contains("is no store") && !message.contains("s3cret"), "{message}");
    }
}

#[test]
fn studies_have_names_directions_and_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(&address(folder.path())).unwrap();
    let attributes = [("babyllama:sweep", json!({ "format": 1 }))];
    let study = store.create_study("teachers", Direction::Maximize, &attributes).unwrap();
    assert_eq!(store.study("teachers").unwrap(), study);
    assert_eq!(store.direction(study).unwrap(), Direction::Maximize);
    let read: Option<serde_json::Value> = store.study_attribute(study, "babyllama:sweep").unwrap();
    assert_eq!(read, Some(json!({ "format": 1 })));
    store.set_study_attribute(study, "babyllama:sweep", &json!(7)).unwrap();
    assert_eq!(store.study_attribute::<u64>(study, "babyllama:sweep").unwrap(), Some(7));
    assert_eq!(store.study_attribute::<u64>(study, "other").unwrap(), None);
    let again = store.create_study("teachers", Direction::Minimize, &[]);
    assert!(matches!(again, Err(StoreError::Exists(_))));
    let message = store.study("teacher").unwrap_err().to_string();
    assert_eq!(message, "the store has no study `teacher`; did you mean `teachers`?");
}

#[test]
fn numbers_are_dense_whoever_adds_trials() {
    let folder = tempfile::tempdir().unwrap();
    let address = address(folder.path());
    let mut store = Store::create(&address).unwrap();
    let study = store.create_study("s", Direction::Minimize, &[]).unwrap();
    let other = store.create_study("other", Direction::Minimize, &[]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let address = &address;
            scope.spawn(move || {
                let mut store = Store::open(address).unwrap();
                for _ in 0..25 {
                    insert_running(&mut store, if thread == 3 { other } else { study });
                }
            });
        }
    });
    for (study, count) in [(study, 75), (other, 25)] {
        let numbers: Vec<u64> =
            store.trials(study).unwrap().iter().map(|trial| trial.number).collect();
        assert_eq!(numbers, (0..count).collect::<Vec<u64>>());
    }
}

#[test]
fn a_trial_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(&address(folder.path())).unwrap();
    let study = store.create_study("s", Direction::Minimize, &[]).unwrap();
    let trial = insert_running(&mut store, study);
    let parameters = vec![Parameter {
        name: "train.learning_rate".to_owned(),
        value: 0.1 + 0.2,
        distribution: "{}".to_owned(),
    }];
    let lease = store.locked(study, |change| {
        change.set_parameters(trial.id, &parameters)?;
        change.set_user(trial.id, "seed", &json!(7))?;
        change.set_system(trial.id, "babyllama:status", &json!("queued"))?;
        let lease = change.lease(&trial, &worker("a", 60.0))?;
        for (step, value) in [(1, 4.5), (2, f64::NAN), (3, f64::INFINITY), (1, 4.25)] {
            change.report(&lease, step, value)?;
        }
        Ok::<_, StoreError>(lease)
    });
    let lease = lease.unwrap();
    let found = store.trials(study).unwrap().remove(0);
    assert_eq!((found.state, found.number, found.value), (TrialState::Running, 0, None));
    assert_eq!(found.parameters, parameters);
    assert_eq!(found.user::<u64>("seed"), Some(7));
    assert_eq!(found.system::<String>("babyllama:status").as_deref(), Some("queued"));
    let reports: Vec<f64> = found.reports.values().copied().collect();
    assert_eq!((reports[0], reports[2]), (4.25, f64::INFINITY));
    assert!(reports[1].is_nan());
    assert!(found.started.is_some() && found.completed.is_none());
    let (name, left) = found.lease.clone().unwrap();
    assert!(name == "a" && (50.0..=60.0).contains(&left), "{name} {left}");

    let done = |store: &mut Store, value| {
        store.locked(study, |change| {
            change.finish(found.id, found.number, TrialState::Complete, Some(value))
        })
    };
    assert!(matches!(done(&mut store, f64::NAN), Err(StoreError::NotFinite { .. })));
    done(&mut store, 4.25).unwrap();
    // What is finished is never changed.
    assert!(matches!(done(&mut store, 1.0), Err(StoreError::LeaseLost { .. })));
    let late = store.locked(study, |change| change.report(&lease, 4, 1.0));
    let message = late.unwrap_err().to_string();
    assert_eq!(message, "trial 0 is no longer this worker's: its state is COMPLETE");
    let found = store.trials(study).unwrap().remove(0);
    assert_eq!((found.state, found.value), (TrialState::Complete, Some(4.25)));
    assert!(found.completed.is_some() && found.lease.is_none());
    assert_eq!(found.reports.len(), 3);
}

#[test]
fn a_lease_is_lost_to_the_next_worker_and_to_changes_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(&address(folder.path())).unwrap();
    let study = store.create_study("s", Direction::Minimize, &[]).unwrap();
    let trial = insert_running(&mut store, study);
    let (first, second) = (worker("first", 60.0), worker("second", -1.0));
    let one = store.locked(study, |change| change.lease(&trial, &first)).unwrap();
    renew(&mut store, &one, &first).unwrap();
    let two = store.locked(study, |change| change.lease(&trial, &second)).unwrap();
    let message = renew(&mut store, &one, &first).unwrap_err().to_string();
    assert_eq!(message, "trial 0 is no longer this worker's: second has it");
    // It expired when it was given, and is seen so.
    assert!(store.trials(study).unwrap()[0].lease.as_ref().unwrap().1 < 0.0);
    // Until another worker takes the trial, it can still be renewed.
    renew(&mut store, &two, &worker("second", 5.0)).unwrap();
    assert!(store.trials(study).unwrap()[0].lease.as_ref().unwrap().1 > 0.0);
    store
        .locked(study, |change| {
            change.change_state(trial.id, TrialState::Running, TrialState::Fail)
        })
        .unwrap();
    let message = renew(&mut store, &two, &second).unwrap_err().to_string();
    assert_eq!(message, "trial 0 is no longer this worker's: its state is FAIL");
}

#[test]
fn an_error_takes_the_whole_transaction_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(&address(folder.path())).unwrap();
    let study = store.create_study("s", Direction::Minimize, &[]).unwrap();
    let failed: Result<(), StoreError> = store.locked(study, |change| {
        change.insert(TrialState::Running)?;
        Err(StoreError::NoTrial(3))
    });
    assert!(matches!(failed, Err(StoreError::NoTrial(3))));
    assert_eq!(store.trials(study).unwrap(), []);
    insert_running(&mut store, study);
    assert_eq!(store.trials(study).unwrap().len(), 1);
}

#[test]
fn a_store_of_another_revision_can_only_be_read() {
    let changes = [
        ("UPDATE alembic_version SET version_num = 'v9.0.0.a'", "revision v9.0.0.a"),
        ("DELETE FROM alembic_version", "0 revisions"),
        ("INSERT INTO alembic_version VALUES ('v2.4.0.a')", "2 revisions"),
        ("UPDATE version_info SET schema_version = 13", "schema version 13"),
        ("ALTER TABLE trials ADD COLUMN owner TEXT", "`trials` has a column `owner`"),
        ("ALTER TABLE trial_params DROP COLUMN distribution_json", "no column"),
        ("DROP TABLE trial_heartbeats", "no table `trial_heartbeats`"),
    ];
    for (change, reason) in changes {
        let folder = tempfile::tempdir().unwrap();
        let address = address(folder.path());
        let mut store = Store::create(&address).unwrap();
        store.create_study("s", Direction::Minimize, &[]).unwrap();
        drop(store);
        let Address::Sqlite(path) = &address else { unreachable!() };
        Connection::open(path).unwrap().execute_batch(change).unwrap();
        let mut store = Store::open(&address).unwrap();
        assert!(store.read_only().unwrap().contains(reason), "{:?}", store.read_only());
        assert_eq!(store.studies().unwrap(), ["s"]);
        let refused = store.create_study("t", Direction::Minimize, &[]);
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{change}");
        assert!(matches!(Store::create(&address), Err(StoreError::ReadOnly(_))), "{change}");
    }
}

#[test]
fn a_file_that_is_no_store_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = || Store::open(&Address::Sqlite(path.clone())).err().unwrap().to_string();
    assert!(open().starts_with("there is no store "), "{}", open());
    std::fs::write(&path, "precious notes, and no database at all").unwrap();
    assert!(open().contains("file is not a database"), "{}", open());
    let created = Store::create(&Address::Sqlite(path.clone())).err().unwrap().to_string();
    assert!(created.contains("file is not a database"), "{created}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious notes, and no database at all");
}

/// A study with a trial in every state, by Optuna 5.0.0: `tools/golden/optuna_store.py write`.
const OPTUNA: &str = include_str!("../../tests/fixtures/optuna.sql");

#[test]
fn a_store_of_optuna_is_read_with_all_its_states() {
    let folder = tempfile::tempdir().unwrap();
    let address = address(folder.path());
    let Address::Sqlite(path) = &address else { unreachable!() };
    execute(path, OPTUNA);
    let mut store = Store::open(&address).unwrap();
    assert_eq!(store.read_only(), None);
    let study = store.study("python").unwrap();
    assert_eq!(store.direction(study).unwrap(), Direction::Minimize);
    let note: Option<String> = store.study_attribute(study, "note").unwrap();
    assert_eq!(note.as_deref(), Some("made by Optuna"));
    let trials = store.trials(study).unwrap();
    let found: Vec<_> =
        trials.iter().map(|trial| (trial.number, trial.state, trial.value)).collect();
    // What the script printed.
    assert_eq!(
        found,
        [
            (0, TrialState::Complete, Some(8.073843625872348)),
            (1, TrialState::Complete, Some(32.26943177446649)),
            (2, TrialState::Pruned, Some(5.0 / 3.0)),
            (3, TrialState::Fail, None),
            (4, TrialState::Complete, Some(f64::INFINITY)),
            (5, TrialState::Running, None),
            (6, TrialState::Waiting, None),
        ]
    );
    let names: Vec<&str> = trials[0].parameters.iter().map(|of| of.name.as_str()).collect();
    let expected = ["train.learning_rate", "train.batch_size", "train.warmup_ratio"];
    assert_eq!(names, expected);
    assert_eq!(trials[0].reports, [(1, 5.0), (2, 2.5), (3, 5.0 / 3.0)].into());
    assert!(trials[1].reports[&2].is_nan());
    let fixed: serde_json::Value = trials[6].system("fixed_params").unwrap();
    assert_eq!(fixed, json!({ "train.warmup_ratio": 0.25 }));
    // It can be written too.
    assert_eq!(insert_running(&mut store, study).number, 7);
}

#[test]
fn a_copy_holds_the_same_trials() {
    let folder = tempfile::tempdir().unwrap();
    let address = address(folder.path());
    let Address::Sqlite(path) = &address else { unreachable!() };
    execute(path, OPTUNA);
    let mut store = Store::open(&address).unwrap();
    let mut copy = Store::create(&Address::Sqlite(folder.path().join("copy.db"))).unwrap();
    store.copy_into(&mut copy).unwrap();
    let trials = |store: &mut Store| {
        let study = store.study("python").unwrap();
        format!("{:?}", store.trials(study).unwrap())
    };
    assert_eq!(trials(&mut store), trials(&mut copy));
}

/// Runs a dump, whose tables need not be in the order of their references.
fn execute(path: &Path, sql: &str) {
    let database = Connection::open(path).unwrap();
    database.pragma_update(None, "foreign_keys", "OFF").unwrap();
    database.execute_batch(sql).unwrap();
}
