//! One model of a recipe, for the commands that train it outside a run.

use super::*;

#[test]
fn a_command_takes_one_model_out_of_a_recipe() {
    let file = write(BASE);
    let request =
        ModelRequest { model: "student", recipe: Some(&file.path), overrides: &[], distill: None };
    let (student, seed) = load_model(&request).unwrap();
    assert_eq!((student.train.epochs, &student.distill), (2.0, &None));
    let recipe = load(&file.path, &[]).unwrap();
    assert_eq!((student.train.seed, seed), (recipe.models["student"].train.seed, recipe.seed));

    let teachers = [file.path.parent().unwrap().display().to_string()];
    let distill = DistillRequest {
        teachers: &teachers,
        kl: Some("batchmean"),
        alpha: Some(0.25),
        ..DistillRequest::default()
    };
    let overrides = ["epochs=5".to_string()];
    let request = ModelRequest { overrides: &overrides, distill: Some(distill), ..request };
    let (student, _) = load_model(&request).unwrap();
    assert_eq!(student.train.epochs, 5.0);
    let distill = student.distill.unwrap();
    assert_eq!(
        (distill.kl, distill.temperature, distill.alpha),
        (KlNormalisation::Batchmean, 2.0, 0.25)
    );
    assert_eq!(distill.teachers, teachers);
}

#[test]
fn the_recipes_weights_go_with_its_teachers() {
    let file = write(
        &BASE.replace("[models.student.distill]", "[models.student.distill]\nweights = [3.0]"),
    );
    let weights = |count: usize, weights: &[f64]| {
        let here = file.path.parent().unwrap();
        let folders = ["a", "b"].map(|name| here.join(name));
        folders.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        let teachers =
            folders[..count].iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        let distill = DistillRequest { teachers: &teachers, weights, ..DistillRequest::default() };
        let request = ModelRequest {
            model: "student",
            recipe: Some(&file.path),
            overrides: &[],
            distill: Some(distill),
        };
        load_model(&request).unwrap().0.distill.unwrap().weights
    };
    assert_eq!(weights(1, &[]), None);
    assert_eq!(weights(2, &[]), None);
    assert_eq!(weights(2, &[1.0, 2.0]), Some(vec![1.0, 2.0]));
}

#[test]
fn a_command_may_start_from_a_folder() {
    let overrides = ["learning_rate=1e-4".to_string()];
    let request =
        ModelRequest { model: "models/x", recipe: None, overrides: &overrides, distill: None };
    let (model, seed) = load_model(&request).unwrap();
    assert_eq!((model.start, model.train.learning_rate), (Start::Folder("models/x".into()), 1e-4));
    assert_eq!(seed, Recipe::default().seed);
    let overrides = ["learning_rat=1e-4".to_string()];
    let error =
        load_model(&ModelRequest { overrides: &overrides, ..request }).unwrap_err().to_string();
    assert_eq!(
        error,
        "--set learning_rat=1e-4: unknown key `models.model.train.learning_rat`; did you mean \
         `learning_rate`?"
    );
}

#[test]
fn a_command_names_the_models_it_could_take() {
    let file = write(BASE);
    let request =
        ModelRequest { model: "studnet", recipe: Some(&file.path), overrides: &[], distill: None };
    let error = load_model(&request).unwrap_err().to_string();
    let expected = format!("{} has no such model; did you mean `student`?", file.path.display());
    assert_eq!(error, format!("--model studnet: {expected}"));
}
