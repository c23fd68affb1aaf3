//! Several seeds of one model in one line: `seeds = [1, 2, 3]` makes the models `NAME-1`, `NAME-2`
//! and `NAME-3`, which take the place of `NAME` wherever the recipe names it.

use toml::{Table, Value};

use super::document::Document;
use super::error::{Fault, RecipeError, join};

/// The key in a model's table.
const KEY: &str = "seeds";

/// Makes the models of every seed, and a group of them for the table over seeds.
pub(super) fn apply(document: &mut Document) -> Result<(), RecipeError> {
    for name in document.model_names().into_iter().map(str::to_owned).collect::<Vec<_>>() {
        let key = join("models", &name);
        let seeds = join(&key, KEY);
        let Some(value) = document.value_at(&seeds) else { continue };
        let found = read(value).map_err(|problem| Fault::invalid(&seeds, problem));
        let found = found.map_err(|fault| document.locate(fault))?;
        if document.value_at(&join(&key, "train.seed")).is_some() {
            let problem = "stands beside train.seed; remove one of the two";
            return Err(document.locate(Fault::invalid(&seeds, problem)));
        }
        let members: Vec<String> = found.iter().map(|seed| format!("{name}-{seed}")).collect();
        for member in &members {
            if document.model_names().contains(&member.as_str()) {
                let problem = format!("makes a model {member}, which the recipe has already");
                return Err(document.locate(Fault::invalid(&seeds, problem)));
            }
        }
        multiply(document, &name, &found, &members);
        expand_names(document, &name, &members);
        let group = join(&join("evaluate", KEY), &name);
        if document.value_at(&group).is_some() {
            let problem = format!("stands beside models.{name}.seeds, which makes this group");
            return Err(document.locate(Fault::invalid(&group, problem)));
        }
        add_groups(document, &name, &members);
    }
    Ok(())
}

/// Whether a model is one of several seeds.
pub(super) fn made(document: &Document, name: &str) -> bool {
    let groups = document.value_at(&join("evaluate", KEY)).and_then(Value::as_table);
    let mut members = groups.into_iter().flatten().filter_map(|(_, members)| members.as_array());
    members.any(|members| members.iter().any(|member| member.as_str() == Some(name)))
}

/// The seeds, of which there must be several different ones.
fn read(value: &Value) -> Result<Vec<i64>, String> {
    let list = value.as_array().ok_or("is no list of seeds such as [1, 2, 3]")?;
    let mut seeds: Vec<i64> = Vec::new();
    for value in list {
        let seed = value.as_integer().filter(|&seed| seed >= 0);
        let seed = seed.ok_or_else(|| format!("has {value}, where a seed is 0 or larger"))?;
        if seeds.contains(&seed) {
            return Err(format!("has {seed} twice"));
        }
        seeds.push(seed);
    }
    match seeds.len() {
        0 | 1 => Err("has fewer than two seeds; for one, set train.seed".to_owned()),
        count if count > 100 => Err(format!("has {count} seeds; there may be 100")),
        _ => Ok(seeds),
    }
}

/// Puts a model for each seed in the place of one.
fn multiply(document: &mut Document, name: &str, seeds: &[i64], members: &[String]) {
    let Some(models) = document.table.get_mut("models").and_then(Value::as_table_mut) else {
        return;
    };
    let mut multiplied = Table::new();
    for (other, model) in std::mem::take(models) {
        if other != name {
            multiplied.insert(other, model);
            continue;
        }
        for (seed, member) in seeds.iter().zip(members) {
            let mut model = model.clone();
            if let Some(model) = model.as_table_mut() {
                model.remove(KEY);
                let train = model.entry("train").or_insert_with(|| Value::Table(Table::new()));
                if let Some(train) = train.as_table_mut() {
                    train.insert("seed".to_owned(), Value::Integer(*seed));
                }
            }
            multiplied.insert(member.clone(), model);
        }
    }
    *models = multiplied;
    document.copy_places(&join("models", name), members.iter().map(|of| join("models", of)));
}

/// Puts the members in the place of the name among teachers and in ensembles.
fn expand_names(document: &mut Document, name: &str, members: &[String]) {
    let expand = |list: &mut Value| {
        let Some(list) = list.as_array_mut() else { return };
        let of_one = |value: Value| match value.as_str().and_then(|text| text.strip_prefix(name)) {
            Some(rest) if rest.is_empty() || rest.starts_with('@') => {
                members.iter().map(|member| Value::String(format!("{member}{rest}"))).collect()
            }
            _ => vec![value],
        };
        *list = std::mem::take(list).into_iter().flat_map(of_one).collect();
    };
    let models = document.table.get_mut("models").and_then(Value::as_table_mut);
    for (_, model) in models.into_iter().flatten() {
        let distill = model.get_mut("distill").and_then(Value::as_table_mut);
        if let Some(teachers) = distill.and_then(|distill| distill.get_mut("teachers")) {
            expand(teachers);
        }
    }
    let evaluate = document.table.get_mut("evaluate").and_then(Value::as_table_mut);
    let ensembles = evaluate.and_then(|evaluate| evaluate.get_mut("ensembles"));
    ensembles.and_then(Value::as_array_mut).into_iter().flatten().for_each(expand);
}

/// Adds the members to the ensembles that are scored, and to the groups of which mean and spread
/// are shown.
fn add_groups(document: &mut Document, name: &str, members: &[String]) {
    let evaluate = document.table.entry("evaluate").or_insert_with(|| Value::Table(Table::new()));
    let Some(evaluate) = evaluate.as_table_mut() else { return };
    let list = Value::Array(members.iter().cloned().map(Value::String).collect());
    let ensembles = evaluate.entry("ensembles").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(ensembles) = ensembles.as_array_mut()
        && !ensembles.contains(&list)
    {
        ensembles.push(list.clone());
    }
    let groups = evaluate.entry(KEY).or_insert_with(|| Value::Table(Table::new()));
    if let Some(groups) = groups.as_table_mut() {
        groups.insert(name.to_owned(), list);
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::{Recipe, embedded};

    const MODEL: &str = "architecture = 'gpt2'\nhidden_size = 64\nnum_layers = 1\nnum_heads = 2\n";

    fn recipe(seeds: &str, rest: &str) -> Result<Recipe, String> {
        let text = format!(
            "[models.first]\n{MODEL}[models.a]\n{MODEL}{seeds}\n[models.b]\n{MODEL}\
             [models.b.distill]\nteachers = ['first', 'a']\n{rest}"
        );
        embedded("x.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_for_each_seed_stands_where_the_one_stood() {
        let found = recipe("seeds = [3, 5]", "[evaluate]\nensembles = [['a', 'first']]").unwrap();
        let names: Vec<&String> = found.models.keys().collect();
        assert_eq!(names, ["first", "a-3", "a-5", "b"]);
        assert_eq!(found.models["a-5"].train.seed, Some(5));
        let teachers = &found.models["b"].distill.as_ref().unwrap().teachers;
        assert_eq!(teachers, &["first", "a-3", "a-5"]);
        // Members of ensembles are in the models' order.
        assert_eq!(found.evaluate.ensembles, [vec!["first", "a-3", "a-5"], vec!["a-3", "a-5"]]);
        assert_eq!(found.evaluate.seeds["a"], ["a-3", "a-5"]);
        // The resolved recipe means the same.
        let again = embedded("x.toml", &found.resolved().unwrap()).unwrap();
        assert_eq!(again.resolved().unwrap(), found.resolved().unwrap());
    }

    #[test]
    fn seeds_for_all_models_are_also_of_those_that_start_from_a_folder() {
        let text = format!("[defaults]\nseeds = [1, 2]\n{MODEL}[models.a]\n[models.b]\nfrom = 'x'");
        let found = embedded("x.toml", &text).unwrap();
        assert_eq!(found.models.keys().collect::<Vec<_>>(), ["a-1", "a-2", "b-1", "b-2"]);
    }

    #[test]
    fn snapshots_of_a_name_are_those_of_every_member() {
        let text = format!(
            "[models.a]\n{MODEL}seeds = [1, 2]\ntrain.snapshots = [2]\n[models.b]\n{MODEL}\
             [models.b.distill]\nteachers = ['a@2']"
        );
        let found = embedded("x.toml", &text).unwrap();
        assert_eq!(found.models["b"].distill.as_ref().unwrap().teachers, ["a-1@2", "a-2@2"]);
    }

    #[test]
    fn faults_in_a_multiplied_model_have_its_line() {
        let message = recipe("seeds = [3, 5]\ntrain.epochs = -1", "").unwrap_err();
        assert!(message.contains("x.toml:12") && message.contains("models.a-3.train.epochs"));
    }

    #[test]
    fn seeds_that_make_no_sense_are_refused_by_name() {
        for (seeds, expected) in [
            ("seeds = 3", "`models.a.seeds` is no list of seeds"),
            ("seeds = [3]", "`models.a.seeds` has fewer than two seeds"),
            ("seeds = [3, 3]", "`models.a.seeds` has 3 twice"),
            ("seeds = [3, -1]", "`models.a.seeds` has -1, where a seed is 0 or larger"),
            ("seeds = [1, 2]\ntrain.seed = 4", "`models.a.seeds` stands beside train.seed"),
        ] {
            let message = recipe(seeds, "").unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let clash = recipe("seeds = [1, 2]", "[evaluate.seeds]\na = ['first', 'b']").unwrap_err();
        assert!(clash.contains("`evaluate.seeds.a` stands beside models.a.seeds"), "{clash}");
        let same = "[evaluate.seeds]\npair = ['first', 'b']\n[models.first.train]\nseed = 3\n\
                    [models.b.train]\nseed = 3";
        let same = recipe("", same).unwrap_err();
        assert!(same.contains("has the seed of \"first\""), "{same}");
        let text = format!("[models.a-2]\n{MODEL}[models.a]\n{MODEL}seeds = [1, 2]");
        let message = embedded("x.toml", &text).unwrap_err().to_string();
        assert!(message.contains("makes a model a-2, which the recipe has already"), "{message}");
    }
}
