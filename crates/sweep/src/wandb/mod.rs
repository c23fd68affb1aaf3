//! Reading W&B's `sweep.yaml` as a sweep's recipe.

mod names;
mod parameters;
mod recipe;

use experiment::recipe::suggestion;
use serde_json::{Map, Value};

use crate::sampler::SamplerKind;
use crate::space::{Space, SpaceError};
use crate::stopping::{StopError, StopRule, Wandb};

/// A sweep as W&B's file describes it, in this program's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The recipe's `[space]` table.
    pub table: toml::Table,
    /// The space of that table.
    pub space: Space,
    /// How points are proposed.
    pub sampler: SamplerKind,
    /// When trials are stopped.
    pub stop: StopRule,
    /// What is searched for.
    pub metric: Option<Metric>,
    /// How many trials there are, where the file or its grid sets an end.
    pub trials: Option<u64>,
    /// What was renamed, changed or left out, a sentence each.
    pub notes: Vec<String>,
}

/// What a sweep makes small or large.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, this program's where it has one.
    pub name: String,
    /// Larger is better.
    pub maximize: bool,
    /// The sweep ends when a trial reaches this value.
    pub target: Option<f64>,
}

/// Why a file cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is no YAML.
    #[error("no YAML: {0}")]
    Yaml(String),
    /// A key has no counterpart or a value that cannot be used.
    #[error("`{key}`: {cause}")]
    Key {
        /// The key, dotted.
        key: String,
        /// What is wrong, and what to write instead.
        cause: String,
    },
    /// The parameters make no search space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The stopping rule has values that cannot be used.
    #[error("early_terminate: {0}")]
    Stop(#[from] StopError),
}

impl ImportError {
    fn key(key: &str, cause: impl Into<String>) -> Self {
        Self::Key { key: key.to_string(), cause: cause.into() }
    }
}

/// Keys of W&B that are about how it starts programs and shows results.
const IGNORED: [&str; 11] = [
    "program",
    "command",
    "project",
    "entity",
    "name",
    "description",
    "controller",
    "job",
    "image_uri",
    "apiVersion",
    "kind",
];
const USED: [&str; 5] = ["method", "metric", "parameters", "early_terminate", "run_cap"];
/// Keys that would change the search in a way that this program does not have.
const REFUSED: [&str; 3] = ["custom", "scheduler", "metrics"];

/// Reads the text of a `sweep.yaml`.
pub fn read(text: &str) -> Result<Import, ImportError> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let message = error.to_string();
        let line = message.lines().next().unwrap_or_default();
        ImportError::Yaml(line.trim_start_matches("error: ").to_string())
    })?;
    let Value::Object(file) = value else {
        return Err(ImportError::Yaml("keys and values are expected".to_string()));
    };
    let mut notes = check_keys(&file)?;
    let sampler = sampler(&file)?;
    let metric = file.get("metric").map(|metric| read_metric(metric, &mut notes)).transpose()?;
    let stop = match file.get("early_terminate").filter(|value| !value.is_null()) {
        Some(value) => read_stop(value)?,
        None => StopRule::None,
    };
    if metric.is_none() && (sampler == SamplerKind::Gp || stop != StopRule::None) {
        let cause = "is missing; `bayes` and `early_terminate` need its name and goal";
        return Err(ImportError::key("metric", cause));
    }
    let Some(parameters) = file.get("parameters") else {
        return Err(ImportError::key("parameters", "is missing"));
    };
    let table = parameters::read(parameters, &mut notes)?;
    let space = Space::parse(&table)?;
    let trials = trials(&file, sampler, &space)?;
    Ok(Import { table, space, sampler, stop, metric, trials, notes })
}

/// A note for each key without effect; an error for each that is refused or unknown.
fn check_keys(file: &Map<String, Value>) -> Result<Vec<String>, ImportError> {
    let mut notes = Vec::new();
    for key in file.keys().map(String::as_str) {
        if IGNORED.contains(&key) {
            notes.push(format!("`{key}` has no effect here."));
        } else if REFUSED.contains(&key) {
            return Err(ImportError::key(key, "there is no counterpart of it; remove it"));
        } else if !USED.contains(&key) {
            let hint = suggestion(key, USED.into_iter().chain(IGNORED));
            return Err(ImportError::key(key, format!("is not known; {hint}")));
        }
    }
    Ok(notes)
}

fn sampler(file: &Map<String, Value>) -> Result<SamplerKind, ImportError> {
    match file.get("method").and_then(Value::as_str) {
        Some("bayes") => Ok(SamplerKind::Gp),
        Some("random") => Ok(SamplerKind::Random),
        Some("grid") => Ok(SamplerKind::Grid),
        Some(other) => {
            let cause = format!("is {other}; bayes, random or grid is expected");
            Err(ImportError::key("method", cause))
        }
        None => Err(ImportError::key("method", "is missing; bayes, random or grid is expected")),
    }
}

fn read_metric(value: &Value, notes: &mut Vec<String>) -> Result<Metric, ImportError> {
    let Some(map) = value.as_object() else {
        return Err(ImportError::key("metric", "has a name and a goal"));
    };
    const KEYS: [&str; 5] = ["name", "goal", "target", "impute", "impute_while_running"];
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let hint = suggestion(key, KEYS);
        return Err(ImportError::key(&format!("metric.{key}"), format!("is not known; {hint}")));
    }
    let Some(name) = map.get("name").and_then(Value::as_str) else {
        return Err(ImportError::key("metric.name", "is missing"));
    };
    let maximize = match map.get("goal").map(|goal| goal.as_str()) {
        None | Some(Some("minimize")) => false,
        Some(Some("maximize")) => true,
        Some(_) => return Err(ImportError::key("metric.goal", "is minimize or maximize")),
    };
    let target = match map.get("target") {
        None => None,
        Some(target) => Some(
            parameters::number(target)
                .ok_or_else(|| ImportError::key("metric.target", "is a number"))?,
        ),
    };
    match map.get("impute").map(|impute| impute.as_str()) {
        None | Some(Some("worst")) => {}
        Some(Some(other @ ("best" | "latest"))) => notes.push(format!(
            "`metric.impute` is {other}; here a failed trial always enters with the worst value, \
             a stopped one with its own."
        )),
        Some(_) => return Err(ImportError::key("metric.impute", "is worst, best or latest")),
    }
    let running = map.get("impute_while_running").map(|value| value.as_str());
    if !matches!(running, None | Some(Some("false")) | Some(None)) {
        let note = "`metric.impute_while_running` has no effect: running trials enter with the \
                    model's mean.";
        notes.push(note.to_string());
    }
    let own = names::metric(name);
    match own {
        Some(own) if own != name => notes.push(format!("The metric `{name}` is `{own}`.")),
        Some(_) => {}
        None => notes.push(format!("The metric `{name}` is kept as it is; write this program's.")),
    }
    Ok(Metric { name: own.unwrap_or(name).to_string(), maximize, target })
}

fn read_stop(value: &Value) -> Result<StopRule, ImportError> {
    let Some(map) = value.as_object() else {
        return Err(ImportError::key("early_terminate", "has a type, and its settings"));
    };
    match map.get("type").and_then(Value::as_str) {
        Some("hyperband") => {}
        Some(other) => {
            let cause = format!("is {other}; there is no counterpart but of hyperband");
            return Err(ImportError::key("early_terminate.type", cause));
        }
        None => return Err(ImportError::key("early_terminate.type", "is missing")),
    }
    const KEYS: [&str; 6] = ["type", "min_iter", "max_iter", "s", "eta", "strict"];
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let key_path = format!("early_terminate.{key}");
        return Err(ImportError::key(
            &key_path,
            format!("is not known; {}", suggestion(key, KEYS)),
        ));
    }
    let number = |key: &str| match map.get(key) {
        None => Ok(None),
        Some(value) => parameters::number(value)
            .map(Some)
            .ok_or_else(|| ImportError::key(&format!("early_terminate.{key}"), "is a number")),
    };
    let strict = match map.get("strict") {
        None => true,
        Some(Value::Bool(strict)) => *strict,
        Some(_) => return Err(ImportError::key("early_terminate.strict", "is true or false")),
    };
    // W&B takes `max_iter` where both are given.
    let max_iter = number("max_iter")?;
    let min_iter = if max_iter.is_some() { None } else { number("min_iter")? };
    let bands = number("s")?;
    if bands.is_some_and(|s| s.fract() != 0.0 || !(1.0..=1000.0).contains(&s)) {
        return Err(ImportError::key("early_terminate.s", "is a whole number above zero"));
    }
    let s = bands.filter(|_| max_iter.is_some()).map(|s| s as u32);
    let eta = number("eta")?.unwrap_or(3.0);
    let rule = StopRule::Wandb(Wandb { min_iter, max_iter, s, eta, strict });
    rule.check()?;
    Ok(rule)
}

/// The end that `run_cap` or the grid sets.
fn trials(
    file: &Map<String, Value>,
    sampler: SamplerKind,
    space: &Space,
) -> Result<Option<u64>, ImportError> {
    let cap = match file.get("run_cap") {
        None => None,
        Some(value) => match value.as_u64().filter(|&cap| cap > 0) {
            Some(cap) => Some(cap),
            None => return Err(ImportError::key("run_cap", "is a whole number above zero")),
        },
    };
    if sampler != SamplerKind::Grid {
        return Ok(cap);
    }
    let Some(size) = space.grid_size() else {
        let real = space.parameters().iter().find(|(_, parameter)| parameter.count().is_none());
        let key = real.map_or("parameters", |(key, _)| key.as_str());
        let cause = "a grid takes lists and whole numbers; use random instead";
        return Err(ImportError::key(key, cause));
    };
    Ok(Some(cap.map_or(size, |cap| cap.min(size))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_search_of_the_authors_is_read() {
        let import = read(
            "{program: sweep.py, name: teachers, method: bayes,
              metric: {name: eval/loss, goal: minimize},
              early_terminate: {type: hyperband, min_iter: 1, eta: 2},
              parameters: {
                lr: {distribution: log_normal, mu: -7.3, sigma: 0.7},
                batch_size: {distribution: q_log_normal, mu: 5, sigma: 1.5},
                num_epochs: {distribution: q_log_normal, mu: 1.8, sigma: 0.7},
                one_minus_adam_beta1: {distribution: log_uniform_values, min: 1e-2, max: 1},
                one_minus_adam_beta2: {distribution: log_uniform_values, min: '1e-4', max: 1e-2},
                adam_epsilon: {distribution: log_normal, mu: -13.8, sigma: 3.5},
                lr_scheduler_type: {values: [linear, cosine]},
                weight_decay: {distribution: log_normal, mu: 1, sigma: 1.5},
                max_grad_norm: {distribution: log_normal},
                num_warmup_steps: {distribution: q_log_normal, mu: 5.7, sigma: 1},
                attention_dropout: {min: 0.0, max: 1.0}}}",
        )
        .unwrap();
        let table: toml::Table = r#"
            "train.learning_rate" = { log_normal = [-7.3, 0.7] }
            "train.batch_size" = { log_normal = [5.0, 1.5], integer = true, low = 1 }
            "train.epochs" = { log_normal = [1.8, 0.7], integer = true, low = 1 }
            "train.adam_beta1" = { log_uniform = [0.01, 1.0], one_minus = true }
            "train.adam_beta2" = { log_uniform = [1e-4, 0.01], one_minus = true }
            "train.adam_epsilon" = { log_normal = [-13.8, 3.5] }
            "train.schedule" = ["linear", "cosine"]
            "train.weight_decay" = { log_normal = [1.0, 1.5] }
            "train.max_grad_norm" = { log_normal = [0.0, 1.0] }
            "train.warmup_steps" = { log_normal = [5.7, 1.0], integer = true, low = 0 }
            attention_dropout = { uniform = [0.0, 1.0] }
        "#
        .parse()
        .unwrap();
        assert_eq!(import.space, Space::parse(&table).unwrap());
        assert_eq!(import.sampler, SamplerKind::Gp);
        let stop = Wandb { min_iter: Some(1.0), max_iter: None, s: None, eta: 2.0, strict: true };
        assert_eq!(import.stop, StopRule::Wandb(stop));
        let name = "validation_loss".to_string();
        assert_eq!(import.metric, Some(Metric { name, maximize: false, target: None }));
        assert_eq!(import.trials, None);
        for note in [
            "`program` has no effect here.",
            "`lr` is `train.learning_rate`.",
            "`batch_size` is `train.batch_size`.",
            "`batch_size`: W&B also draws 0; here it begins at 1.",
            "The metric `eval/loss` is `validation_loss`.",
            "Normal priors end at four standard deviations here; W&B's have no end.",
        ] {
            assert!(import.notes.iter().any(|got| got == note), "{note}: {:#?}", import.notes);
        }
    }

    #[test]
    fn keys_about_programs_are_noted_and_numbers_may_be_text() {
        let import = read(
            "---\n# A comment.\nprogram: train.py\ncommand:\n  - ${env}\n  - \"--config\"\n\
             method: random\nparameters:\n  lr:\n    distribution: log_uniform_values\n    \
             min: 1e-4\n    max: \"1e-2\"\n",
        )
        .unwrap();
        let entry = import.table["train.learning_rate"].to_string();
        assert_eq!(entry, "{ log_uniform = [0.0001, 0.01] }");
        assert_eq!(
            import.notes,
            [
                "`program` has no effect here.",
                "`command` has no effect here.",
                "`lr` is `train.learning_rate`."
            ]
        );
    }

    #[test]
    fn a_grid_has_its_size_and_cap() {
        let file = "method: grid\nparameters: {a: {values: [1, 2]}, b: {min: 1, max: 3}}";
        let import = read(file).unwrap();
        assert_eq!((import.sampler, import.trials), (SamplerKind::Grid, Some(6)));
        assert_eq!(import.stop, StopRule::None);
        assert_eq!(read(&format!("{file}\nrun_cap: 4")).unwrap().trials, Some(4));
        assert_eq!(
            message("method: grid\nparameters: {a: {min: 0.5, max: 1}}"),
            "`a`: a grid takes lists and whole numbers; use random instead"
        );
    }

    #[test]
    fn what_has_no_counterpart_is_refused() {
        let file =
            |extra: &str| format!("{extra}\nmethod: random\nparameters: {{a: {{value: 1}}}}");
        let metric = "metric: {name: eval/loss}";
        for (text, want) in [
            ("a: [1".to_string(), "no YAML: line 1 column 4: unclosed bracket '['"),
            ("- 1".to_string(), "no YAML: keys and values are expected"),
            (String::new(), "no YAML: keys and values are expected"),
            (file("custom: 1"), "`custom`: there is no counterpart of it; remove it"),
            (file("metrics: []"), "`metrics`: there is no counterpart of it; remove it"),
            (file("run_cpa: 3"), "`run_cpa`: is not known; did you mean `run_cap`?"),
            (file("run_cap: 0"), "`run_cap`: is a whole number above zero"),
            (
                "parameters: {a: {value: 1}}".to_string(),
                "`method`: is missing; bayes, random or grid is expected",
            ),
            ("method: tpe".to_string(), "`method`: is tpe; bayes, random or grid is expected"),
            ("method: random".to_string(), "`parameters`: is missing"),
            (
                "method: bayes\nparameters: {a: {value: 1}}".to_string(),
                "`metric`: is missing; `bayes` and `early_terminate` need its name and goal",
            ),
            (file("metric: {goal: minimize}"), "`metric.name`: is missing"),
            (file("metric: {name: x, goal: least}"), "`metric.goal`: is minimize or maximize"),
            (
                file("metric: {name: x, gaol: minimize}"),
                "`metric.gaol`: is not known; did you mean `goal`?",
            ),
            (
                file(&format!("{metric}\nearly_terminate: {{type: envelope}}")),
                "`early_terminate.type`: is envelope; there is no counterpart but of hyperband",
            ),
            (
                file(&format!("{metric}\nearly_terminate: {{type: hyperband}}")),
                "early_terminate: stop: `min_iter` is missing; give it, or `max_iter` and `s`",
            ),
            (
                file(&format!("{metric}\nearly_terminate: {{type: hyperband, min_iter: x}}")),
                "`early_terminate.min_iter`: is a number",
            ),
            (
                file(&format!(
                    "{metric}\nearly_terminate: {{type: hyperband, max_iter: 9, s: 0.5}}"
                )),
                "`early_terminate.s`: is a whole number above zero",
            ),
        ] {
            assert_eq!(message(&text), want, "{text}");
        }
    }
}
