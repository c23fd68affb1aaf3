//! One model of a recipe, whose teachers another run trained.

use std::path::Path;

use super::teachers;
use crate::recipe::{Recipe, own_teacher};

/// The recipe with one model alone. Its teachers are those that [`prepare`](super::prepare) trained
/// in the folder `run`.
pub fn alone(mut recipe: Recipe, model: &str, run: &Path) -> Recipe {
    let place = |teacher: &String| match own_teacher(&recipe, teacher) {
        None => teacher.clone(),
        Some(own) => teachers::weights(run, &own).to_string_lossy().into_owned(),
    };
    let distill = recipe.models.get(model).and_then(|section| section.distill.as_ref());
    let places: Option<Vec<String>> =
        distill.map(|distill| distill.teachers.iter().map(place).collect());
    if let Some(section) = recipe.models.get_mut(model)
        && let (Some(distill), Some(places)) = (&mut section.distill, places)
    {
        distill.teachers = places;
    }
    recipe.models.retain(|name, _| name == model);
    recipe.evaluate.ensembles.clear();
    recipe.evaluate.seeds.clear();
    recipe
}
