//! Settings that are allowed and do nothing, or not what they are for.

use train::settings::{Objective, Selection};

use super::Recipe;
use super::model::ModelSection;

/// A line for each such setting of a recipe: its place, what comes of it, and what to do.
pub fn warnings(recipe: &Recipe) -> Vec<String> {
    let of_model = |(name, model): (&String, &ModelSection)| {
        let found = [unread_teachers(model), lost_ascent(model)];
        found.map(|problem| problem.map(|problem| format!("models.{name}: {problem}")))
    };
    recipe.models.iter().flat_map(of_model).flatten().collect()
}

/// Teachers that no step reads.
fn unread_teachers(model: &ModelSection) -> Option<String> {
    model.distill.as_ref()?;
    let reads = model.train.resolved_phases().iter().any(|phase| {
        let masked = phase.hybrid.map_or(0.0, |hybrid| hybrid.steps);
        phase.objective != Objective::Ascent && masked < 1.0
    });
    let problem = "its teachers are read in no step: steps that predict masked tokens \
                   (`hybrid.steps`) and gradient ascent have none; take fewer such steps, or \
                   remove `distill`";
    (!reads).then(|| problem.to_owned())
}

/// Gradient ascent whose weights are not kept.
fn lost_ascent(model: &ModelSection) -> Option<String> {
    let phases = model.train.resolved_phases();
    let ascends = phases.iter().any(|phase| phase.objective == Objective::Ascent);
    let problem = "gradient ascent raises the held-out loss, so that the model is what it was \
                   before; set `select_by = \"last\"` to keep the weights after it";
    (ascends && model.train.select_by != Selection::Last).then(|| problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::embedded;

    #[test]
    fn settings_without_effect_are_named_with_what_to_do() {
        let found = |train: &str| {
            let model = "architecture = 'gpt2'\nhidden_size = 64\nnum_layers = 1\nnum_heads = 2\n";
            let text = format!(
                "[models.a]\n{model}[models.b]\n{model}[models.b.distill]\nteachers = ['a']\n\
                 [models.b.train]\n{train}"
            );
            warnings(&embedded("x.toml", &text).unwrap()).join("; ")
        };
        assert_eq!(found("hybrid = { steps = 0.9 }"), "");
        let message = found("hybrid = { steps = 1.0 }");
        assert!(message.starts_with("models.b: its teachers are read in no step"), "{message}");
        let ascent = "[[models.b.train.phases]]\nepochs = 1\n[[models.b.train.phases]]\n\
                      max_steps = 5\nobjective = 'ascent'";
        let message = found(ascent);
        assert!(message.starts_with("models.b: gradient ascent raises the held"), "{message}");
        assert_eq!(found(&format!("select_by = 'last'\n{ascent}")), "");
    }
}
