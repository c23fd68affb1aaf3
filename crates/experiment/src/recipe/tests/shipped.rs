//! The recipes of the repository.

use super::*;

/// A recipe of the repository, with its models' parameter counts at its own vocabulary size.
fn shipped(file: &str) -> (Recipe, Vec<(String, usize)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(file);
    let recipe = load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let again = load_with(&recipe.resolved().unwrap(), &[]).unwrap();
    assert_eq!(again, recipe, "{file}");
    let counts = recipe.models.iter().filter_map(|(name, model)| {
        let Start::Random(shape) = &model.start else { return None };
        let config = shape.config_for(recipe.tokenizer.vocab_size);
        config.validate().unwrap();
        Some((name.clone(), config.parameter_count()))
    });
    let counts = counts.collect();
    (recipe, counts)
}

/// The folder of recipes, and every one of a run in it.
fn all() -> (PathBuf, Vec<PathBuf>) {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Those of fine-tuning and of sweeps are of other kinds, with tests of their own.
            match path.is_dir() {
                true if path.ends_with("finetune") || path.ends_with("sweeps") => {}
                true => files(&path, found),
                false => found.push(path),
            }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut found = Vec::new();
    files(&folder, &mut found);
    (folder, found)
}

#[test]
fn every_lever_has_an_example_on_the_builtin_corpus() {
    let texts = all().1.into_iter().map(|path| fs::read_to_string(path).unwrap());
    let texts: Vec<String> = texts.filter(|text| text.contains("source = \"builtin\"")).collect();
    for lever in [
        "optimizer = \"muon\"",
        "optimizer = \"normuon\"",
        "optimizer = \"lion\"",
        "optimizer = \"lamb\"",
        "polar_express = 1",
        "cautious_decay = true",
        "weight_decay_epochs =",
        "weight_decay_schedule = \"opposite\"",
        "[[models.muon.train.groups]]",
        "schedule = \"warmup_stable_decay\"",
        "cooldown = \"one_minus_square_root\"",
        "schedule = \"cyclic\"",
        "kind = \"ema_steps\"",
        "kind = \"ema_epochs\"",
        "kind = \"last_epochs\"",
        "sam = { rho = 0.05 }",
        "adaptive = true",
        "objective = \"ascent\"",
        "buckets = {",
        "offset_per_sequence = true",
        "order = \"documents\"",
        "varies = true",
        "hybrid = {",
        "generations = ",
        "seeds = [",
        "snapshots = [",
        "ensemble = \"mean_probs\"",
        "fit_weights = true",
        "alpha_end = ",
        "temperature_end = ",
        "select_by = \"last\"",
    ] {
        assert!(texts.iter().any(|text| text.contains(lever)), "no example of {lever}");
    }
}

#[test]
fn every_shipped_recipe_loads() {
    let (folder, found) = all();
    let mut names: Vec<String> = Vec::new();
    for path in &found {
        let (recipe, _) = shipped(path.strip_prefix(&folder).unwrap().to_str().unwrap());
        assert!(!names.contains(&recipe.name), "two recipes are named {}", recipe.name);
        names.push(recipe.name);
    }
    assert!(names.len() >= 6, "{names:?}");
}

#[test]
fn the_papers_models_have_the_papers_sizes() {
    let counts = |file| shipped(file).1.into_iter().map(|(_, count)| count).collect::<Vec<_>>();
    assert_eq!(counts("babyllama-1/strict-small.toml"), [704_732_160, 359_973_888, 58_343_936]);
    assert_eq!(
        counts("babyllama-1/small-models.toml"),
        [16_584_960, 10_480_128, 97_241_856, 97_540_608, 97_304_704]
    );
    assert_eq!(counts("babyllama-2/strict-small.toml"), [345_355_200; 3]);
    assert_eq!(counts("babyllama-2/three-teachers.toml"), [345_355_200; 4]);
}

#[test]
fn twins_differ_from_the_student_only_in_their_teachers() {
    let settings = |model: &ModelSection| {
        (model.start.clone(), TrainSettings { seed: None, ..model.train.clone() })
    };
    for (file, student, twins) in [
        ("quickstart.toml", "student", &["undistilled"][..]),
        ("babylm-1m.toml", "student-token", &["student-batchmean", "undistilled"]),
    ] {
        let (recipe, _) = shipped(file);
        for twin in twins {
            assert_eq!(
                settings(&recipe.models[*twin]),
                settings(&recipe.models[student]),
                "{file}: {twin}"
            );
        }
    }
}

#[test]
fn the_best_recipe_trains_models_of_the_study() {
    let (best, _) = shipped("babyllama-best.toml");
    let (study, _) = shipped("study/distillation.toml");
    for (own, of_study) in [
        ("teacher-4", "teacher-4"),
        ("teacher-5", "teacher-5"),
        ("student", "two-long-1"),
        ("undistilled", "plain-1"),
    ] {
        assert_eq!(best.models[own], study.models[of_study], "{own}");
    }
    assert_eq!((best.seed, best.corpus), (study.seed, study.corpus));
    assert_eq!((best.tokenizer, best.evaluate.rules), (study.tokenizer, study.evaluate.rules));
}
