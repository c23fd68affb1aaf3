//! The models of a recipe that a run is about, where it is not about all (`--only`).

use super::teachers;
use crate::error::{Context, Result, wrong_usage};
use crate::recipe::{Recipe, suggestion};

/// The models that some names stand for, in the recipe's order. A name is that of a model, or of a
/// group of models over seeds (`evaluate.seeds`, which `seeds` of a model makes). Without names
/// there are none, which stands for all.
///
/// # Errors
/// [`WrongUsage`](crate::ExperimentError::WrongUsage) with the nearest name, where the recipe has
/// neither such a model nor such a group.
pub fn select(recipe: &Recipe, names: &[String]) -> Result<Vec<String>> {
    let mut selected: Vec<&String> = Vec::new();
    for name in names {
        match recipe.evaluate.seeds.get(name) {
            _ if recipe.models.contains_key(name) => selected.push(name),
            Some(members) => selected.extend(members),
            None => return unknown(recipe, name),
        }
    }
    let all = recipe.models.keys();
    Ok(all.filter(|name| selected.contains(name)).cloned().collect())
}

fn unknown<T>(recipe: &Recipe, name: &str) -> Result<T> {
    let known = || recipe.models.keys().chain(recipe.evaluate.seeds.keys()).map(String::as_str);
    let all: Vec<&str> = known().collect();
    wrong_usage(format_args!(
        "--only {name}: the recipe has no such model; {}",
        suggestion(name, known())
    ))
    .advise(format!("give --only some of the recipe's models: {}", all.join(", ")))
}

/// These models and those that they need, in no order; all of the recipe's where none are named.
pub(super) fn with_teachers(recipe: &Recipe, only: &[String]) -> Vec<String> {
    match only {
        [] => recipe.models.keys().cloned().collect(),
        only => [teachers::needed(recipe, only), only.to_vec()].concat(),
    }
}

/// A recipe without the models that neither are among those [selected](select) nor teach them, for
/// what is to be said of a run before it begins. It is not what the run stores.
pub fn restrict(recipe: &Recipe, only: &[String]) -> Recipe {
    let mut recipe = recipe.clone();
    let names = with_teachers(&recipe, only);
    recipe.models.retain(|name, _| names.contains(name));
    let all_are_kept = |members: &[String]| members.iter().all(|member| names.contains(member));
    recipe.evaluate.ensembles.retain(|members| all_are_kept(members));
    recipe.evaluate.seeds.retain(|_, members| all_are_kept(members));
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe;

    const RECIPE: &str = "\
[defaults]
architecture = 'llama'
hidden_size = 32
intermediate_size = 48
num_layers = 1
num_heads = 2

[models.plain]
seeds = [1, 2]

[models.teacher]

[models.middle.distill]
teachers = ['teacher']

[models.student]
seeds = [1, 2]

[models.student.distill]
teachers = ['middle']

[evaluate]
ensembles = [['plain-1', 'plain-2'], ['plain-1', 'teacher']]
";

    fn recipe() -> Recipe {
        recipe::embedded("recipe.toml", RECIPE).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_group_stands_for_its_models_and_each_counts_once() {
        let select = |only: &[&str]| select(&recipe(), &names(only));
        assert_eq!(select(&[]).unwrap(), [""; 0]);
        assert_eq!(select(&["student-2", "teacher"]).unwrap(), ["teacher", "student-2"]);
        let found = select(&["plain-2", "plain", "teacher", "plain"]).unwrap();
        assert_eq!(found, ["plain-1", "plain-2", "teacher"]);
        let refused = select(&["teacher", "plan"]).unwrap_err().to_string();
        assert!(refused.contains("--only plan") && refused.contains("plain"), "{refused}");
    }

    #[test]
    fn a_restricted_recipe_keeps_teachers_of_teachers_and_whole_groups() {
        let restrict = |only: &[&str]| restrict(&recipe(), &names(only));
        assert_eq!(restrict(&[]), recipe());
        let one = restrict(&["student-2"]);
        assert_eq!(one.models.keys().collect::<Vec<_>>(), ["teacher", "middle", "student-2"]);
        assert!(one.evaluate.ensembles.is_empty() && one.evaluate.seeds.is_empty());
        let twins = restrict(&["plain-1", "plain-2"]);
        assert_eq!(twins.evaluate.ensembles, [names(&["plain-1", "plain-2"])]);
        assert_eq!(twins.evaluate.seeds.keys().collect::<Vec<_>>(), ["plain"]);
    }
}
