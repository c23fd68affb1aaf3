//! Whole searches on a store: what workers are given and what becomes of it, with losses from a
//! formula in place of trainings. Real trainings are the tests of the command line.

mod common;
mod definition;
mod page;

use std::path::Path;

use sweep::confirm;
use sweep::schedule::Next;
use sweep::store::Address;
use sweep::sweep::{Draft, Sweep};
use sweep::trial::key;
use toml::Value;

use common::{EPOCHS, Search, contents, standings, train, work, worker};

#[test]
fn one_worker_makes_the_same_study_twice_and_every_proposal_can_be_computed_again() {
    let rules = [
        "sampler = 'random'\nstop = { rule = 'none' }",
        "sampler = 'bohb'\nstop = { rule = 'hyperband', eta = 3 }",
        "sampler = 'gp'\nstop = { rule = 'wandb', min_iter = 1, eta = 2 }\n\
         objective = { at = 'best' }",
        "sampler = 'tpe'\nstop = { rule = 'optuna_hyperband', min = 1, max = 9, eta = 3 }",
        "sampler = 'bohb'\nstop = { rule = 'asha', eta = 3 }",
    ];
    for rule in rules {
        let keys = format!("trials = 30\n{rule}");
        let [first, second] = [(), ()].map(|()| {
            let search = Search::new(&keys);
            let mut sweep = search.open("s");
            work(&mut sweep);
            let checked = sweep.check().unwrap();
            assert_eq!((checked.same, checked.differs), (30, vec![]), "{rule}");
            let [complete, stopped, failed, queued] = standings(&mut sweep);
            assert_eq!((complete + stopped, failed, queued), (30, 0, 0), "{rule}");
            assert_eq!(stopped > 0, !rule.contains("none"), "{rule}");
            contents(&mut sweep)
        });
        assert_eq!(first, second, "{rule}");
    }
}

#[test]
fn a_search_of_few_trials_has_a_complete_one_by_the_default_rule() {
    for trials in 1..=4 {
        let search = Search::new(&format!("trials = {trials}"));
        let mut sweep = search.open("s");
        work(&mut sweep);
        let [complete, stopped, failed, queued] = standings(&mut sweep);
        assert_eq!((complete + stopped, failed, queued), (trials, 0, 0));
        assert_eq!(complete, 1, "of {trials}");
        assert_eq!(sweep.best().unwrap().reports.len() as u64, EPOCHS);
    }
}

#[test]
fn searches_that_learn_end_better_than_chance_and_asha_spends_less() {
    // The mean of the best over seeds, and the epochs that were trained.
    let best = |keys: &str| {
        let (mut value, mut epochs) = (0.0, 0);
        for seed in 1..=SEEDS {
            let search = Search::new(&format!("trials = 30\nseed = {seed}\n{keys}"));
            let mut sweep = search.open("s");
            work(&mut sweep);
            let trials = sweep.trials().unwrap();
            epochs += trials.iter().map(|trial| trial.reports.len()).sum::<usize>();
            value += sweep.best().unwrap().row.value.unwrap() / SEEDS as f64;
        }
        (value, epochs)
    };
    const SEEDS: u64 = 6;
    let (random, all) = best("sampler = 'random'\nstop = { rule = 'none' }");
    let (gp, _) = best("sampler = 'gp'\nstop = { rule = 'none' }");
    let (tpe, _) = best("sampler = 'tpe'\nstop = { rule = 'none' }");
    let (kde, _) = best("sampler = 'bohb'\nstop = { rule = 'none' }");
    let (bohb, few) = best("sampler = 'bohb'");
    let found = format!("random {random} gp {gp} tpe {tpe} kde {kde} asha {bohb} {few}");
    assert!(gp < random && tpe < random && kde < random, "{found}");
    assert!(bohb < random + 0.02, "{found}");
    assert_eq!(all as u64, SEEDS * 30 * EPOCHS);
    assert!(few < all / 2, "{found}");
}

#[test]
fn a_lost_worker_costs_nothing_but_its_time_and_too_many_end_the_trial() {
    let search = Search::new("trials = 2\nretries = 1\nstop = { rule = 'none' }");
    let mut sweep = search.open("s");
    let Next::Train(first) = sweep.next(&worker(-1.0)).unwrap() else { panic!() };
    train(&mut sweep, &first, 4);
    // Its lease has expired: the next worker goes on with it, after the same reports.
    let Next::Train(second) = sweep.next(&worker(60.0)).unwrap() else { panic!() };
    assert_eq!((second.number, second.seed, &second.stored), (0, first.seed, &first.stored));
    assert_eq!(second.reports.len(), 4);
    let late = sweep.report(&first.lease, &[], 1.0, 1.0).unwrap_err();
    assert!(late.is_lost_lease(), "{late}");
    // Given back, any worker may go on; that is no loss.
    sweep.give_back(&second.lease).unwrap();
    let Next::Train(third) = sweep.next(&worker(-1.0)).unwrap() else { panic!() };
    assert_eq!(third.number, 0);
    // Lost once more than allowed.
    let Next::Train(other) = sweep.next(&worker(60.0)).unwrap() else { panic!() };
    assert_eq!(other.number, 1);
    let lost = &sweep.trials().unwrap()[0];
    assert_eq!(lost.row.user::<String>(key::WHY).unwrap(), "its worker was lost 2 times");
    train(&mut sweep, &other, u64::MAX);
    assert!(matches!(sweep.next(&worker(60.0)).unwrap(), Next::Done));
    assert_eq!(standings(&mut sweep), [1, 0, 1, 0]);
    // Tried again with the same values, under a number of its own.
    assert_eq!(sweep.failed().unwrap(), [0]);
    assert_eq!(sweep.retry(0).unwrap(), 2);
    assert_eq!(sweep.failed().unwrap(), [] as [u64; 0]);
    let Next::Train(again) = sweep.next(&worker(60.0)).unwrap() else { panic!() };
    assert_eq!((again.number, &again.stored), (2, &first.stored));
    let message = sweep.retry(1).unwrap_err().to_string();
    assert_eq!(message, "trial 1 is COMPLETE; only failed ones are tried again");
}

#[test]
fn a_worker_waits_for_others_and_ends_when_nothing_is_left() {
    let search = Search::new("trials = 1\nstop = { rule = 'none' }");
    let (mut one, mut two) = (search.open("s"), search.open("s"));
    let Next::Train(assigned) = one.next(&worker(60.0)).unwrap() else { panic!() };
    assert!(matches!(two.next(&worker(60.0)).unwrap(), Next::Wait));
    train(&mut one, &assigned, u64::MAX);
    assert!(matches!(two.next(&worker(60.0)).unwrap(), Next::Done));
}

#[test]
fn the_recipes_own_points_come_first_and_what_they_leave_out_is_proposed() {
    let enqueue = "[[enqueue]]\nbaseline = true\n'train.learning_rate' = 0.003\n\
                   [[enqueue]]\n'train.batch_size' = 8\n'train.warmup_ratio' = 0.25";
    let search = Search { folder: tempfile::tempdir().unwrap() };
    let path = search.write("trials = 4\nstop = { rule = 'none' }");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n{enqueue}\n")).unwrap();
    Draft::read(&path, &[]).unwrap().create(&search.place(), &search.address()).unwrap();
    let mut sweep = search.open("s");
    work(&mut sweep);
    let trials = sweep.trials().unwrap();
    let settings = |number: usize| sweep.settings(&trials[number], None);
    assert_eq!(settings(0)["train.learning_rate"], Value::Float(0.003));
    assert_eq!(settings(1)["train.batch_size"], Value::Integer(8));
    assert_eq!(settings(1)["train.warmup_ratio"], Value::Float(0.25));
    assert_eq!(settings(0).len(), 3);
    assert!(trials[2].proposal().unwrap().index.is_none());
    let checked = sweep.check().unwrap();
    assert_eq!((checked.same, checked.differs), (4, vec![]));

    // The confirmation compares with the point that is marked.
    sweep.file.recipe.confirm.top = 2;
    let name = confirm::begin(&mut sweep).unwrap();
    assert_eq!(name, "s/confirm");
    assert_eq!(confirm::begin(&mut sweep).unwrap(), name);
    let mut confirmation = search.open(&name);
    work(&mut confirmation);
    let rows = confirm::rows(&mut confirmation, &mut sweep).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows.iter().filter(|row| row.label == "baseline (trial 0)").count(), 1);
    assert!(rows.iter().all(|row| row.values.len() == 3 && row.search.is_some()));
    let seeds: Vec<u64> =
        confirmation.trials().unwrap().iter().map(|t| t.row.user(key::SEED).unwrap()).collect();
    assert_eq!(seeds[..3], seeds[3..6]);
    assert!(trials.iter().all(|trial| !seeds.contains(&trial.row.user(key::SEED).unwrap())));
}

#[test]
fn a_failed_training_of_a_confirmation_is_tried_again_as_it_was() {
    let search = Search::new("trials = 2\nstop = { rule = 'none' }\nconfirm = { top = 1 }");
    let mut sweep = search.open("s");
    work(&mut sweep);
    let name = confirm::begin(&mut sweep).unwrap();
    let mut confirmation = search.open(&name);
    let next = |confirmation: &mut Sweep| match confirmation.next(&worker(60.0)).unwrap() {
        Next::Train(assigned) => assigned,
        other => panic!("{other:?}"),
    };
    // The baseline is the recipe as it is.
    let failed = next(&mut confirmation);
    assert!(failed.stored.is_empty());
    confirmation.fail(&failed.lease, "the disk was full").unwrap();
    assert_eq!(confirmation.retry(0).unwrap(), 1);
    let again = next(&mut confirmation);
    assert_eq!((again.number, again.seed, &again.stored), (1, failed.seed, &failed.stored));
    confirmation.complete(&again.lease, 5.0, &[]).unwrap();
    // It takes the place of no other training.
    while let Next::Train(assigned) = confirmation.next(&worker(60.0)).unwrap() {
        confirmation.complete(&assigned.lease, 4.0, &[]).unwrap();
    }
    let rows = confirm::rows(&mut confirmation, &mut sweep).unwrap();
    assert_eq!(rows.iter().map(|row| row.values.len()).collect::<Vec<_>>(), [3, 3]);
    assert!(rows.iter().any(|row| row.values == [5.0, 4.0, 4.0]), "{rows:?}");
    let checked = confirmation.check().unwrap();
    assert_eq!((checked.same, checked.foreign, checked.differs), (7, vec![], vec![]));
    // Nothing is proposed beside what a point states.
    let values = sweep::edit::values_of(&["train.batch_size=8".to_owned()]).unwrap();
    confirmation.enqueue(&values).unwrap();
    assert_eq!(next(&mut confirmation).stored.len(), 1);
}

#[test]
fn rules_by_epochs_stop_trainings_by_steps_until_their_end() {
    for steps in ["max_steps' = 20000", "phases' = [{ max_steps = 20000 }]"] {
        let search = Search { folder: tempfile::tempdir().unwrap() };
        let path = search.write("trials = 30\nstop = { rule = 'wandb', min_iter = 4, eta = 2 }");
        // A base without epochs, of which 3 are the default.
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/quickstart.toml");
        let own = search.folder.path().join("base.toml");
        let without = std::fs::read_to_string(&base).unwrap().replace("epochs = 12\n", "");
        std::fs::write(&own, without).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(base.to_str().unwrap(), own.to_str().unwrap());
        let by_epochs = format!("epochs' = {EPOCHS}");
        assert!(text.contains(&by_epochs) && text.contains(own.to_str().unwrap()));
        std::fs::write(&path, text.replace(&by_epochs, steps)).unwrap();
        Draft::read(&path, &[]).unwrap().create(&search.place(), &search.address()).unwrap();
        let mut sweep = search.open("s");
        work(&mut sweep);
        let [complete, stopped, ..] = standings(&mut sweep);
        assert!(complete > 0 && stopped > 0 && complete + stopped == 30, "{complete} {stopped}");
        for trial in sweep.trials().unwrap() {
            let is_whole = trial.reports.len() as u64 == EPOCHS;
            let epochs = trial.row.user::<f64>(key::EPOCHS);
            assert_eq!(epochs, is_whole.then_some(EPOCHS as f64), "{}", trial.number());
        }
        let checked = sweep.check().unwrap();
        assert_eq!((checked.same, checked.differs), (30, vec![]));
    }
}

#[test]
fn a_test_loss_of_a_model_that_predicts_no_next_token_is_refused() {
    let search = Search { folder: tempfile::tempdir().unwrap() };
    let text = search.folder.path().join("text");
    std::fs::create_dir(&text).unwrap();
    std::fs::write(text.join("a.train"), "The old dog sees the king.\n").unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let path = search.folder.path().join("search.toml");
    for (recipe, model, kind) in [
        ("ltg-bert", "masked", Some("a masked language model")),
        ("t5", "t5", Some("an encoder-decoder")),
        ("ltg-bert", "causal", None),
    ] {
        let (base, text) = (recipes.join(format!("{recipe}.toml")), text.display());
        let space = "[space]\n'train.learning_rate' = { log_normal = [-6, 1] }";
        let keys = format!("recipe = '{}'\nmodel = '{model}'\ntest = '{text}'", base.display());
        std::fs::write(&path, format!("name = 's'\ntrials = 1\n{keys}\n{space}\n")).unwrap();
        let checked = Draft::read(&path, &[]).unwrap().check().map_err(|error| error.to_string());
        let Some(kind) = kind else { return checked.unwrap() };
        let found = checked.unwrap_err();
        let cause = format!("`{model}` is {kind}, which has no loss of the next token");
        assert!(found.contains("`test`") && found.contains(&cause), "{found}");
    }
}

#[test]
fn points_from_outside_are_taken_or_fail_with_the_reason() {
    let search = Search::new("trials = 3\nstop = { rule = 'none' }");
    let mut sweep = search.open("s");
    let values = sweep::edit::values_of(&["train.learning_rate=2e-3".to_owned()]).unwrap();
    assert_eq!(sweep.enqueue(&values).unwrap(), 0);
    for (words, part) in [
        (["train.learning_rat=1"], "did you mean `train.learning_rate`?"),
        (["train.batch_size=9"], "one of [8, 16, 32]"),
        (["train.warmup_ratio=2"], "from 0 to 0.5"),
        (["train.warmup_ratio"], "should read KEY=VALUE"),
    ] {
        let words = words.map(str::to_owned);
        let refused = sweep::edit::values_of(&words).and_then(|values| sweep.enqueue(&values));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    // What Optuna's `enqueue_trial` writes, with a name that the space has not.
    let Address::Sqlite(path) = search.address() else { panic!() };
    let database = rusqlite::Connection::open(path).unwrap();
    database
        .execute_batch(
            "INSERT INTO trials (number, study_id, state) VALUES (1, 1, 'WAITING');
             INSERT INTO trial_system_attributes (trial_id, key, value_json)
                 VALUES (2, 'fixed_params', '{\"lr\": 0.1}');",
        )
        .unwrap();
    work(&mut sweep);
    let trials = sweep.trials().unwrap();
    assert_eq!(trials.len(), 3);
    assert_eq!(sweep.settings(&trials[0], None)["train.learning_rate"], Value::Float(2e-3));
    let why = trials[1].row.user::<String>(key::WHY).unwrap();
    assert!(why.starts_with("`lr` is not a parameter of the space"), "{why}");
    assert_eq!(standings(&mut sweep), [2, 0, 1, 0]);
}

#[test]
fn a_search_ends_at_its_target_and_a_stop_is_seen() {
    let keys = "trials = 500\nstop = { rule = 'none' }\nobjective = { target = 4.6 }";
    let search = Search::new(keys);
    let mut sweep = search.open("s");
    work(&mut sweep);
    let overview = sweep.overview().unwrap();
    assert!(overview.trials.len() < 100, "{}", overview.trials.len());
    assert!(overview.best().unwrap().value.unwrap() <= 4.6);
    sweep.stop(true).unwrap();
    let asked = |sweep: &mut Sweep| sweep::worker::asked_to_stop(&mut sweep.store, sweep.study);
    assert_eq!(asked(&mut sweep).unwrap().as_deref(), Some("now"));
    sweep.resume().unwrap();
    assert_eq!(asked(&mut sweep).unwrap(), None);
}
