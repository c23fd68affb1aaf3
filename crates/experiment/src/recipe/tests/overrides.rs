//! Values of the command line, and those for all models.

use super::*;

#[test]
fn an_override_is_named_where_it_makes_another_value_wrong() {
    for text in [
        "student.num_kv_heads=3",
        "student.num_heads=3",
        "student.train.sequence_length=100000",
        "student.num_layers=4000000000",
        "small.max_positions=32",
    ] {
        let message = load_with(BASE, &["seed=3", text, "student.train.epochs=1"]).unwrap_err();
        assert!(message.starts_with(&format!("--set {text}: ")), "{message}");
    }
    // What is wrong without any is the file's.
    let wrong = BASE.replace("num_heads = 4", "num_heads = 5");
    let message = load_with(&wrong, &["seed=3"]).unwrap_err();
    assert!(message.starts_with("trial.toml:"), "{message}");
}

#[test]
fn overrides_reach_every_table() {
    let overrides = [
        "student.train.learning_rate=1e-3",
        "models.student.distill.kl=batchmean",
        "corpus.source=data/train",
        "evaluate.rules=2023",
        "evaluate.blimp=['a', 'builtin']",
        "name=other",
    ];
    let recipe = load_with(BASE, &overrides).unwrap();
    let student = &recipe.models["student"];
    assert_eq!(student.train.learning_rate, 1e-3);
    assert_eq!(student.distill.as_ref().unwrap().kl, KlNormalisation::Batchmean);
    assert_eq!(recipe.corpus.source, Source::Folder("data/train".into()));
    assert_eq!(recipe.evaluate.rules, Rules::Year2023);
    assert_eq!(recipe.evaluate.blimp.unwrap(), [Source::Folder("a".into()), Source::Builtin]);
    assert_eq!(recipe.name, "other");
}

#[test]
fn values_for_all_models_stand_once() {
    let text = BASE.replace(
        "seed = 7",
        "[defaults]\nnum_kv_heads = 2\n[defaults.train]\n\
        epochs = 5\nlearning_rate = 1e-3\n[defaults.distill]\nalpha = 0.25",
    );
    let text = text.replace(
        "num_heads = 4\n\n[models.student]",
        "num_heads = 4\nnum_kv_heads = \
        4\n\n[models.student]",
    );
    let recipe = load_with(&text, &[]).unwrap();
    let [small, student] = ["small", "student"].map(|name| &recipe.models[name]);
    assert_eq!((small.train.epochs, student.train.epochs), (5.0, 2.0));
    assert_eq!((small.train.learning_rate, student.train.learning_rate), (1e-3, 1e-3));
    assert_eq!((&small.distill, student.distill.as_ref().unwrap().alpha), (&None, 0.25));
    let Start::Random(shape) = &student.start else { panic!("{student:?}") };
    assert_eq!(shape.config.num_kv_heads, 2);
    let resolved = recipe.resolved().unwrap();
    assert!(!resolved.contains("defaults"), "{resolved}");

    // What a default breaks is found where the default stands.
    let message = load_with(&text.replace("epochs = 5", "epoch = 5"), &[]).unwrap_err();
    let expected = "trial.toml:4: unknown key `models.small.train.epoch`; did you mean `epochs`?";
    assert_eq!(message, expected);
    let folder = load_with(&format!("{text}\n[models.more]\nfrom = 'models/x'\n"), &[]).unwrap();
    assert_eq!(folder.models["more"].train.epochs, 5.0);
    let message = load_with(BASE, &["defaults=3"]).unwrap_err();
    assert_eq!(message, "--set defaults=3: `defaults` is a value, not a table");
}

#[test]
fn an_override_may_reach_all_models() {
    let overrides = ["train.epochs=9", "distill.alpha=0.1", "small.train.epochs=4"];
    let recipe = load_with(BASE, &overrides).unwrap();
    let [small, student] = ["small", "student"].map(|name| &recipe.models[name]);
    assert_eq!((small.train.epochs, student.train.epochs), (4.0, 9.0));
    assert_eq!((&small.distill, student.distill.as_ref().unwrap().alpha), (&None, 0.1));
    let message = load_with("[models.a]\nfrom = 'x'", &["distill.alpha=0.1"]).unwrap_err();
    assert!(message.ends_with("no model of the recipe has a table `distill`"), "{message}");
}

#[test]
fn epochs_of_all_models_do_not_count_beside_phases() {
    let phases = "[defaults.train]\nepochs = 4\n[models.a]\nfrom = 'x'\n[models.b]\nfrom = 'x'\n\
                  [[models.b.train.phases]]\nepochs = 2\n";
    let recipe = load_with(phases, &["b.train.phases[0].epochs=5"]).unwrap();
    let [a, b] = ["a", "b"].map(|name| &recipe.models[name].train);
    assert_eq!((a.epochs, b.epochs), (4.0, TrainSettings::default().epochs));
    assert_eq!(b.phases[0].epochs, Some(5.0));
    let resolved = recipe.resolved().unwrap();
    assert_eq!(load_with(&resolved, &[]).unwrap(), recipe);
    let message = load_with(phases, &["b.train.epochs=9"]).unwrap_err();
    assert!(message.contains("`models.b.train.epochs` is 9; phases state their own"), "{message}");
    // Those of a model do not count beside the phases of all models either, and are refused.
    let for_all = "[models.a]\nfrom = 'x'\n[[defaults.train.phases]]\nepochs = 2\n";
    let message = load_with(for_all, &["a.train.epochs=9"]).unwrap_err();
    assert!(message.contains("`models.a.train.epochs` is 9; phases state their own"), "{message}");
    let without = load_with(for_all, &["a.train.epochs=9", "a.train.phases=[]"]).unwrap();
    assert_eq!(without.models["a"].train.epochs, 9.0);
}
