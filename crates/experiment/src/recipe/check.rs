//! What types alone cannot express: sizes that divide, names that exist, probabilities that are
//! probabilities.

use std::path::Path;

use model::{ModelConfig, ModelError};
use toml::Value;
use train::masking;
use train::optimizers::OptimizerSettings;
use train::settings::{self, DistillSettings, SettingError};

use super::Recipe;
use super::document::{DEFAULTS, Document, MODEL_TABLES, TOP_LEVEL_KEYS};
use super::error::{Fault, Place, join, suggestion};
use super::model::{ModelSection, Shape, Start};
use super::sections::{CorpusSection, EvaluateSection, Source, TokenizerSection, Validation};
use super::teacher::own_teacher;

/// A byte-level BPE needs its three special tokens and a symbol for every byte.
const SMALLEST_VOCABULARY: usize = 259;

/// Names become parts of the names of files, which file systems limit.
const LONGEST_NAME: usize = 100;

/// The built-in corpus is made in memory.
const MOST_BUILTIN_WORDS: usize = 1_000_000_000;

/// The most pairs of each kind.
const MOST_PAIRS: usize = 1_000_000;

/// What the name of a recipe may have besides letters and digits.
pub(super) const NAME_MARKS: &str = "-_.";

/// Refuses the first thing in the recipe that makes no sense.
pub(super) fn check(recipe: &Recipe) -> Result<(), Fault> {
    check_name("name", &recipe.name, NAME_MARKS)?;
    ensure(i64::try_from(recipe.seed).is_ok(), "seed", || {
        format!("is {}, more than {}", recipe.seed, i64::MAX)
    })?;
    check_corpus(&recipe.corpus)?;
    check_tokenizer(&recipe.tokenizer)?;
    for (index, (name, model)) in recipe.models.iter().enumerate() {
        let key = join("models", name);
        // A dot would part a dotted key.
        check_name(&key, name, "-_")?;
        let mut kept = TOP_LEVEL_KEYS.into_iter().chain(MODEL_TABLES).chain([DEFAULTS]);
        ensure(!kept.any(|kept| kept == name), &key, || {
            "is a name that recipes keep for themselves".into()
        })?;
        check_model(&key, model, recipe.tokenizer.vocab_size)?;
        if let Some(distill) = &model.distill {
            check_distill(recipe, index, distill)
                .map_err(|fault| fault.within("distill").within(&key))?;
        }
    }
    check_begin_token(recipe)?;
    check_hidden_tokens(recipe)?;
    check_evaluate(recipe, &recipe.evaluate)
}

/// Refuses `epochs` of a model beside its phases or those for all models, which state how long they
/// are. A recipe that a run has stored has every key.
pub(super) fn check_length(document: &Document) -> Result<(), Fault> {
    for name in document.model_names() {
        let key = |of_train: &str| format!("models.{name}.train.{of_train}");
        let for_all = |of_train: &str| document.value_at(&format!("defaults.train.{of_train}"));
        let of = |of_train: &str| document.value_at(&key(of_train)).or_else(|| for_all(of_train));
        let (phases, buckets) = (of("phases").and_then(Value::as_array), of("buckets"));
        let epochs = document.value_at(&key("epochs"));
        let problem = |epochs: &Value| {
            let which = if buckets.is_some() { "buckets" } else { "phases" };
            format!("is {epochs}; {which} state their own epochs or steps; leave it out")
        };
        let is_asked_for = !document.is_resolved
            || matches!(document.place(&key("epochs")), Place::CommandLine(_));
        let has_phases = buckets.is_some() || phases.is_some_and(|phases| !phases.is_empty());
        if let Some(epochs) = epochs.filter(|_| has_phases && is_asked_for) {
            return Err(Fault::invalid(key("epochs"), problem(epochs)));
        }
    }
    Ok(())
}

fn ensure(holds: bool, key: &str, problem: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::invalid(key, problem())) }
}

/// Names become folder names.
fn check_name(key: &str, name: &str, marks: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    ensure(name.len() <= LONGEST_NAME, key, || {
        format!("is a name of {} letters; it may have {LONGEST_NAME}", name.len())
    })?;
    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits);
    ensure(good, key, || {
        format!(
            "is no name: it may have letters, digits and {marks:?}, and begins with one of the \
             former"
        )
    })
}

fn between(key: &str, value: usize, smallest: usize, largest: usize) -> Result<(), Fault> {
    ensure(value >= smallest, key, || {
        format!("is {value}; the smallest that works is {smallest}")
    })?;
    ensure(value <= largest, key, || format!("is {value}; the largest that works is {largest}"))
}

fn check_corpus(corpus: &CorpusSection) -> Result<(), Fault> {
    let builtin = corpus.source == Source::Builtin;
    if let Source::Folder(folder) = &corpus.source {
        ensure(!folder.as_os_str().is_empty(), "corpus.source", || {
            "is empty; name a folder or \"builtin\"".into()
        })?;
    }
    ensure(!builtin || corpus.words > 0, "corpus.words", || {
        "is 0; it must be the number of words to write".into()
    })?;
    ensure(!builtin || corpus.words <= MOST_BUILTIN_WORDS, "corpus.words", || {
        format!("is {}; of the built-in corpus it is at most {MOST_BUILTIN_WORDS}", corpus.words)
    })?;
    ensure(builtin || corpus.validation != Validation::Builtin, "corpus.validation", || {
        "is \"builtin\" while corpus.source is a folder; use \"split\" or a folder".into()
    })?;
    let fraction = corpus.validation_fraction;
    ensure(fraction > 0.0 && fraction < 1.0, "corpus.validation_fraction", || {
        format!("is {fraction}; it must be between 0 and 1, both excluded")
    })?;
    between("corpus.pairs_per_paradigm", corpus.pairs_per_paradigm, 1, MOST_PAIRS)
}

fn check_tokenizer(tokenizer: &TokenizerSection) -> Result<(), Fault> {
    let largest = ModelConfig::LARGEST_SIZE;
    between("tokenizer.vocab_size", tokenizer.vocab_size, SMALLEST_VOCABULARY, largest)
}

fn check_model(key: &str, model: &ModelSection, vocab_size: usize) -> Result<(), Fault> {
    if let Start::Random(shape) = &model.start {
        check_shape(shape, vocab_size).map_err(|fault| fault.within(key))?;
        let length = model.train.sequence_length;
        ensure(shape.can_read(length), &join(key, "max_positions"), || {
            format!(
                "is {}, fewer than train.sequence_length = {length}",
                shape.config.max_positions
            )
        })?;
    }
    settings::check(&model.train).map_err(|error| fault(error).within("train").within(key))?;
    check_masked(model, vocab_size).map_err(|fault| fault.within(key))?;
    check_groups(model, vocab_size).map_err(|fault| fault.within("train").within(key))
}

/// Settings that a model cannot follow for what it predicts, or that only another follows.
fn check_masked(model: &ModelSection, vocab_size: usize) -> Result<(), Fault> {
    let Start::Random(shape) = &model.start else { return Ok(()) };
    masking::check_settings(&model.train, &shape.config_for(vocab_size))
        .map_err(|error| fault(error).within("train"))?;
    let family = shape.config.architecture;
    ensure(family.is_causal() || model.distill.is_none(), "distill", || {
        format!("is set; {} predicts no next token and has no teachers", family.title())
    })
}

/// The texts of masked models and of encoder-decoders have ends of their own.
fn check_begin_token(recipe: &Recipe) -> Result<(), Fault> {
    if !recipe.tokenizer.begin_token {
        return Ok(());
    }
    for (name, model) in &recipe.models {
        let is_causal = model.family().is_none_or(|family| family.is_causal());
        ensure(is_causal, "tokenizer.begin_token", || {
            format!("is for models that predict the next token, which models.{name} does not")
        })?;
    }
    Ok(())
}

/// Masked models hide tokens and encoder-decoders spans, for which the tokenizer needs some of its
/// own.
fn check_hidden_tokens(recipe: &Recipe) -> Result<(), Fault> {
    let tokenizer = &recipe.tokenizer;
    if tokenizer.path.is_some() {
        return Ok(());
    }
    for (name, model) in &recipe.models {
        let Some(family) = model.family().filter(|family| !family.is_causal()) else { continue };
        if !family.is_encoder_decoder() {
            ensure(tokenizer.mask_token, "tokenizer.mask_token", || {
                format!("is false; models.{name} hides tokens, so set it to true")
            })?;
            continue;
        }
        let (length, found) = (model.train.sequence_length, tokenizer.sentinels);
        let [_, spans] = model.train.spans.unwrap_or_default().counts(length);
        ensure(found >= spans, "tokenizer.sentinels", || {
            format!("is {found}; models.{name} hides {spans} spans of a sequence; T5 has 100")
        })?;
    }
    Ok(())
}

/// Every parameter group has a parameter of the model.
fn check_groups(model: &ModelSection, vocab_size: usize) -> Result<(), Fault> {
    let Start::Random(shape) = &model.start else { return Ok(()) };
    if model.train.groups.is_empty() {
        return Ok(());
    }
    let layout = shape.config_for(vocab_size).layout();
    OptimizerSettings::from(&model.train).check_layout(&layout).map_err(fault)
}

/// The model's own rules, as faults of the recipe's keys.
fn check_shape(shape: &Shape, vocab_size: usize) -> Result<(), Fault> {
    let rule = |error: ModelError| match error {
        // It follows from the number of heads.
        ModelError::Config { key: "head_dim", problem } if shape.head_dim.is_none() => {
            let (heads, width) = (shape.config.num_heads, shape.config.head_dim);
            let problem = format!("= {heads} leaves {width} channels a head; head_dim {problem}");
            Fault::invalid("num_heads", problem)
        }
        ModelError::Config { key, problem } => Fault::invalid(key, problem),
        other => Fault::invalid("", other.to_string()),
    };
    let config = shape.config_for(vocab_size);
    config.validate().and_then(|()| config.check_sparse_layers()).map_err(rule)?;
    match shape.head_dim {
        Some(_) => Ok(()),
        None => divides("hidden_size", config.hidden_size, "num_heads", config.num_heads),
    }
}

fn divides(key: &str, whole: usize, part_key: &str, part: usize) -> Result<(), Fault> {
    ensure(whole.is_multiple_of(part), key, || {
        format!("is {whole}, which {part_key} = {part} does not divide")
    })
}

/// What training itself refuses, as a fault of the recipe's key.
pub(super) fn fault(SettingError { setting, value, rule }: SettingError) -> Fault {
    Fault::invalid(&setting, format!("is {value}; {rule}"))
}

/// `index` is the student's place among the models; its teachers stand before it, which also rules
/// out circles.
fn check_distill(recipe: &Recipe, index: usize, distill: &DistillSettings) -> Result<(), Fault> {
    ensure(!distill.teachers.is_empty(), "teachers", || "is empty; name at least one".into())?;
    settings::check_distillation(distill, &recipe.models[index].train, distill.teachers.len())
        .map_err(fault)?;
    let sequence_length = recipe.models[index].train.sequence_length;
    for (number, teacher) in distill.teachers.iter().enumerate() {
        let key = format!("teachers[{number}]");
        ensure(!distill.teachers[..number].contains(teacher), &key, || {
            format!("names {teacher:?} a second time")
        })?;
        match own_teacher(recipe, teacher) {
            Some(own) if own.place == index => {
                return Err(Fault::invalid(key, "is the student itself"));
            }
            Some(own) if own.place > index => {
                let name = own.name;
                let problem = format!(
                    "is {teacher:?}, which stands below its student; move [models.{name}] above"
                );
                return Err(Fault::invalid(key, problem));
            }
            Some(own) => {
                let kept = &own.model.train.snapshots;
                ensure(own.epoch.is_none_or(|epoch| kept.contains(&epoch)), &key, || {
                    let name = own.name;
                    format!(
                        "is {teacher:?}, but models.{name}.train.snapshots = {kept:?} does not \
                         keep that epoch"
                    )
                })?;
                let family = own.model.family().filter(|family| !family.is_causal());
                ensure(family.is_none(), &key, || {
                    let title = family.map_or("", |family| family.title());
                    format!("is {teacher:?}; {title} predicts no next token and cannot teach")
                })?;
                check_teacher_positions(&key, own.name, own.model, sequence_length)?;
            }
            None => {
                let earlier = recipe.models.keys().take(index).map(String::as_str);
                ensure(Path::new(teacher).is_dir(), &key, || {
                    format!(
                        "is {teacher:?}, neither a model above nor a folder; {}",
                        suggestion(teacher, earlier)
                    )
                })?;
            }
        }
    }
    Ok(())
}

fn check_teacher_positions(
    key: &str,
    name: &str,
    teacher: &ModelSection,
    length: usize,
) -> Result<(), Fault> {
    let Start::Random(shape) = &teacher.start else { return Ok(()) };
    ensure(shape.can_read(length), key, || {
        format!(
            "is {name:?} with max_positions = {}, fewer than the student's sequence_length = \
             {length}",
            shape.config.max_positions
        )
    })
}

fn check_evaluate(recipe: &Recipe, evaluate: &EvaluateSection) -> Result<(), Fault> {
    let ensembles = evaluate.ensembles.iter().enumerate();
    let ensembles =
        ensembles.map(|(number, members)| (format!("evaluate.ensembles[{number}]"), members));
    let seeds = evaluate.seeds.iter();
    let seeds = seeds.map(|(name, members)| (format!("evaluate.seeds.{name}"), members));
    for (key, members) in ensembles.chain(seeds) {
        ensure(members.len() >= 2, &key, || "has fewer than two models".into())?;
        let families = members.iter().filter_map(|name| recipe.models.get(name)?.family());
        let kinds: Vec<&str> = families.map(|family| family.kind()).collect();
        ensure(kinds.windows(2).all(|pair| pair[0] == pair[1]), &key, || {
            "has masked models beside models that predict the next token, or encoder-decoders \
             beside others"
                .into()
        })?;
        for (place, member) in members.iter().enumerate() {
            let key = format!("{key}[{place}]");
            let known = recipe.models.keys().map(String::as_str);
            ensure(recipe.models.contains_key(member), &key, || {
                format!("is {member:?}, no model of this recipe; {}", suggestion(member, known))
            })?;
            ensure(!members[..place].contains(member), &key, || {
                format!("names {member:?} a second time")
            })?;
        }
    }
    evaluate.seeds.iter().try_for_each(|(name, members)| check_seeds(recipe, name, members))
}

/// Refuses a group of models of which two have the same seed.
fn check_seeds(recipe: &Recipe, name: &str, members: &[String]) -> Result<(), Fault> {
    let seed = |member: &String| recipe.models.get(member)?.train.seed;
    for (place, member) in members.iter().enumerate() {
        let same = |other: &&String| seed(other).is_some() && seed(other) == seed(member);
        let other = members[..place].iter().find(same);
        ensure(other.is_none(), &format!("evaluate.seeds.{name}[{place}]"), || {
            let other = other.map_or("", String::as_str);
            format!("is {member:?}, which has the seed of {other:?}; give them different seeds")
        })?;
    }
    Ok(())
}
