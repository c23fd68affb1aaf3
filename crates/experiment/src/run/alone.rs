//! One model of a recipe, whose teachers another run trained.

use std::path::Path;

use train::run::snapshot;

use crate::recipe::{Recipe, own_teacher};
use crate::verify;

/// The recipe with one model alone. Its teachers are those that [`prepare`](super::prepare) trained
/// in the folder `teachers`.
pub fn alone(mut recipe: Recipe, model: &str, teachers: &Path) -> Recipe {
    let place = |teacher: &String| match own_teacher(&recipe, teacher) {
        None => teacher.clone(),
        Some(own) => {
            let folder = teachers.join("models").join(own.name);
            let place = match own.epoch {
                Some(epoch) => snapshot(&folder, epoch),
                None => folder.join(verify::FINAL),
            };
            place.to_string_lossy().into_owned()
        }
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
