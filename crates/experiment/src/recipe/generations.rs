//! Chains of distillation: `generations = 3` trains a student three times, each time with the one
//! before as its teacher. The first has the teachers of the recipe, the last has the student's
//! name.

use toml::{Table, Value};

use super::document::Document;
use super::error::{Fault, RecipeError, join};
use super::{model_seed, seeds};

/// The key in a model's `distill` table.
const KEY: &str = "generations";

/// The most generations of a chain.
const MOST: i64 = 100;

/// Makes the models of every generation.
pub(super) fn apply(document: &mut Document) -> Result<(), RecipeError> {
    for name in document.model_names().into_iter().map(str::to_owned).collect::<Vec<_>>() {
        let model = join("models", &name);
        let key = join(&model, &format!("distill.{KEY}"));
        let Some(value) = document.value_at(&key) else { continue };
        let count = value.as_integer().filter(|count| (1..=MOST).contains(count));
        let Some(count) = count else {
            let problem = format!("is {value}, where a number between 1 and {MOST} is needed");
            return Err(document.locate(Fault::invalid(&key, problem)));
        };
        let teachers = document.value_at(&join(&model, "distill.teachers"));
        if teachers.and_then(Value::as_array).is_none_or(Vec::is_empty) {
            let problem = "needs `teachers` for the first generation";
            return Err(document.locate(Fault::invalid(&key, problem)));
        }
        let teachers = document.value_at(&join(&model, "distill.teachers"));
        let teachers = teachers.and_then(Value::as_array).into_iter().flatten().enumerate();
        let own = teachers.into_iter().find(|(_, teacher)| teacher.as_str() == Some(&*name));
        if let Some((number, _)) = own {
            let key = join(&model, &format!("distill.teachers[{number}]"));
            let problem = "is the student itself; name the teachers of the first generation, each \
                           later one has the one before as its teacher";
            return Err(document.locate(Fault::invalid(key, problem)));
        }
        if document.value_at(&join(&model, "distill.cache")).is_some() && count > 1 {
            let problem = "stands beside `cache`, which can hold the teachers of one generation";
            return Err(document.locate(Fault::invalid(&key, problem)));
        }
        let earlier: Vec<String> = (1..count).map(|number| format!("{name}-g{number}")).collect();
        if let Some(taken) = earlier.iter().find(|of| document.model_names().contains(&of.as_str()))
        {
            let problem = format!("makes a model {taken}, which the recipe has already");
            return Err(document.locate(Fault::invalid(&key, problem)));
        }
        let has_drawn_seed = seeds::made(document, &name);
        chain(document, &name, &earlier, has_drawn_seed);
        document.copy_places(&model, earlier.iter().map(|name| join("models", name)));
    }
    Ok(())
}

/// Puts the earlier generations before the last one. Of a student with several seeds each has its
/// own, that of the seed and the generation's name; the last keeps the seed itself.
fn chain(document: &mut Document, name: &str, earlier: &[String], has_several_seeds: bool) {
    let Some(models) = document.table.get_mut("models").and_then(Value::as_table_mut) else {
        return;
    };
    let mut all = Table::new();
    for (other, mut model) in std::mem::take(models) {
        if other == name {
            let distill = model.get_mut("distill").and_then(Value::as_table_mut);
            distill.map(|distill| distill.remove(KEY));
            for (index, generation) in earlier.iter().enumerate() {
                let previous = index.checked_sub(1).map(|index| &earlier[index]);
                let mut model = taught_by(model.clone(), previous);
                let seed = model.get_mut("train").and_then(|train| train.get_mut("seed"));
                if let Some(seed) = seed.filter(|_| has_several_seeds)
                    && let Some(of_all) = seed.as_integer()
                {
                    // It has 32 bits.
                    *seed = Value::Integer(model_seed(of_all as u64, generation) as i64);
                }
                all.insert(generation.clone(), model);
            }
            model = taught_by(model, earlier.last());
        }
        all.insert(other, model);
    }
    *models = all;
}

/// A student with another student as its only teacher; as it is where there is none.
fn taught_by(mut model: Value, teacher: Option<&String>) -> Value {
    let distill = model.get_mut("distill").and_then(Value::as_table_mut);
    if let (Some(distill), Some(teacher)) = (distill, teacher) {
        distill.insert("teachers".to_owned(), vec![teacher.clone()].into());
        // They belong to the teachers of the first generation.
        distill.remove("weights");
        distill.remove("fit_weights");
    }
    model
}

#[cfg(test)]
mod tests {
    use crate::recipe::{Recipe, embedded};

    const MODEL: &str = "architecture = 'gpt2'\nhidden_size = 64\nnum_layers = 1\nnum_heads = 2\n";

    fn recipe(distill: &str) -> Result<Recipe, String> {
        let text = format!(
            "[models.a]\n{MODEL}[models.b]\n{MODEL}[models.student]\n{MODEL}\
             [models.student.distill]\n{distill}\n[models.last]\n{MODEL}\
             [models.last.distill]\nteachers = ['student']"
        );
        embedded("x.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_generation_is_the_teacher_of_the_next() {
        let found = recipe("teachers = ['a', 'b']\nweights = [1.0, 2.0]\ngenerations = 3").unwrap();
        let names: Vec<&String> = found.models.keys().collect();
        assert_eq!(names, ["a", "b", "student-g1", "student-g2", "student", "last"]);
        let distill = |name: &str| found.models[name].distill.clone().unwrap();
        assert_eq!(distill("student-g1").teachers, ["a", "b"]);
        assert_eq!(distill("student-g1").weights, Some(vec![1.0, 2.0]));
        assert_eq!(distill("student-g2").teachers, ["student-g1"]);
        assert_eq!(distill("student-g2").weights, None);
        assert_eq!(distill("student").teachers, ["student-g2"]);
        assert_eq!(distill("last").teachers, ["student"]);
        let seeds =
            ["student-g1", "student-g2", "student"].map(|name| found.models[name].train.seed);
        assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2], "{seeds:?}");
        let one = recipe("teachers = ['a']\ngenerations = 1").unwrap();
        assert_eq!(one.models.len(), 4);
    }

    #[test]
    fn generations_of_several_seeds_have_seeds_of_their_own() {
        let of = |train: &str| {
            let text = format!(
                "[models.a]\n{MODEL}[models.student]\n{MODEL}{train}\n\
                 [models.student.distill]\nteachers = ['a']\ngenerations = 2"
            );
            let found = embedded("x.toml", &text).unwrap();
            let seed = |name: &str| found.models[name].train.seed.unwrap();
            let names: Vec<String> = found.models.keys().skip(1).cloned().collect();
            names.iter().map(|name| (name.clone(), seed(name))).collect::<Vec<_>>()
        };
        let found = of("seeds = [3, 5]");
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["student-3-g1", "student-3", "student-5-g1", "student-5"]);
        assert_eq!((found[1].1, found[3].1), (3, 5));
        let mut seeds: Vec<u64> = found.iter().map(|(_, seed)| *seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 4, "{found:?}");
        // By hand all have one.
        let found = of("train.seed = 9");
        assert!(found.iter().all(|(_, seed)| *seed == 9), "{found:?}");
    }

    #[test]
    fn chains_that_make_no_sense_are_refused_by_name() {
        for (distill, expected) in [
            ("teachers = ['a']\ngenerations = 0", "generations` is 0, where a number between"),
            (
                "teachers = ['a', 'student']\ngenerations = 2",
                "`models.student.distill.teachers[1]` is the student itself; name the teachers of",
            ),
            ("teachers = []\ngenerations = 2", "generations` needs `teachers` for the first"),
            ("teachers = ['a']\ngenerations = 2\ncache = 'c'", "generations` stands beside"),
        ] {
            let message = recipe(distill).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
