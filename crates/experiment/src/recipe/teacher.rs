//! Teachers as recipes name them.

use super::Recipe;
use super::model::ModelSection;

/// A teacher that is a model of the recipe.
#[derive(Clone, Copy, Debug)]
pub struct OwnTeacher<'a> {
    /// The model's place among the models of the recipe.
    pub place: usize,
    /// The model's name.
    pub name: &'a str,
    /// The model.
    pub model: &'a ModelSection,
    /// The epoch after which the model has the weights that teach, of a teacher `NAME@4`.
    pub epoch: Option<u64>,
}

/// The model of the recipe that a teacher is: `NAME`, or `NAME@4` for its snapshot after an epoch;
/// `None` for a folder.
pub fn own_teacher<'a>(recipe: &'a Recipe, teacher: &str) -> Option<OwnTeacher<'a>> {
    let of = |name: &str, epoch| {
        let (place, name, model) = recipe.models.get_full(name)?;
        Some(OwnTeacher { place, name, model, epoch })
    };
    of(teacher, None).or_else(|| {
        let (name, epoch) = snapshot_name(teacher)?;
        of(name, Some(epoch))
    })
}

/// The name and the epoch of a teacher `NAME@4`.
pub(crate) fn snapshot_name(teacher: &str) -> Option<(&str, u64)> {
    let (name, epoch) = teacher.rsplit_once('@')?;
    Some((name, epoch.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::embedded;

    #[test]
    fn teachers_are_models_snapshots_or_folders() {
        let model = "architecture = 'gpt2'\nhidden_size = 64\nnum_layers = 1\nnum_heads = 2";
        let recipe = embedded("x.toml", &format!("[models.a]\n{model}")).unwrap();
        let found = |teacher| own_teacher(&recipe, teacher).map(|of| (of.name, of.epoch));
        assert_eq!(found("a"), Some(("a", None)));
        assert_eq!(found("a@4"), Some(("a", Some(4))));
        for folder in ["b", "b@4", "a@x", "models/a@4", "a@-1"] {
            assert_eq!(found(folder), None, "{folder}");
        }
    }
}
