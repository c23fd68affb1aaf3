//! `babyllama pretrain` and `babyllama distill`: one model on a token file, outside a recipe's run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use corpus::{TokenFile, Tokenizer};
use engine::Device;
use model::{Model, hugging_face};
use train::{DistillSettings, Distillation, Outcome, Run, Teacher};

use crate::args::{DeviceArgs, TrainArgs};
use crate::cache_place;
use crate::console;
use crate::failure::{Hint, Interrupted};
use crate::interrupt::Interrupt;
use crate::lock::RunLock;
use crate::pipeline::models::same_tokenizer;
use crate::recipe::{self, ModelRequest, ModelSection, Start};
use crate::stage::Stage;
use crate::training_log::TrainingLog;

/// Trains the model that the flags describe, with teachers if they name any.
pub fn train(
    args: &TrainArgs,
    request: ModelRequest<'_>,
    device: &DeviceArgs,
) -> anyhow::Result<()> {
    let (section, recipe_seed) = recipe::load_model(&request)?;
    if let Some(distill) = &section.distill {
        let folders = folders(&section);
        cache_place::check(distill, &args.output, folders.iter().map(|(_, folder)| &**folder))?;
    }
    let device = device.open()?;
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot make {}", args.output.display()))?;
    let _lock = RunLock::acquire(&args.output)?;
    let tokenizer = args.tokenizer.as_deref().map(Tokenizer::load).transpose()?;
    let open =
        |path: &Path| if args.raw_tokens { TokenFile::raw(path) } else { TokenFile::open(path) };
    let training = open(&args.tokens)?;
    let validation = args.validation.as_deref().map(open).transpose()?;
    let files: Vec<&TokenFile> =
        [Some(&training), validation.as_ref()].into_iter().flatten().collect();
    compare_tokenizers(&section, &files, tokenizer.as_ref())?;
    let seed = section.train.seed.unwrap_or_default();
    let model = start(&section, args, &training, seed, &device)?;
    let distill = match &section.distill {
        None => None,
        // Not the model's own seed, so that students of all names and seeds can share what is
        // drawn.
        Some(settings) => Some(distillation(settings, args, recipe_seed)?),
    };
    let interrupt = Interrupt::listen().context("cannot listen to signals")?;
    let mut log = TrainingLog::new("training", &args.output, &interrupt);
    let run = Run {
        folder: &args.output,
        settings: &section.train,
        seed,
        model,
        distill,
        training: &training,
        validation: validation.as_ref().map(|file| file as &dyn train::TokenSource),
        inputs_fingerprint: fingerprint(args, &section)?,
    };
    match run.execute(&mut log)? {
        Outcome::Finished { step, .. } => {
            log.finish(step);
            let place = args.output.join("final");
            if let Some(tokenizer) = &tokenizer {
                tokenizer.save_folder(&place, section.train.sequence_length)?;
            }
            console::print(format_args!("The model is in {}", place.display()))
        }
        Outcome::Interrupted { .. } => bail!(Interrupted { resume: "the same command".to_owned() }),
    }
}

fn start(
    section: &ModelSection,
    args: &TrainArgs,
    tokens: &TokenFile,
    seed: u64,
    device: &Arc<dyn Device>,
) -> anyhow::Result<Model> {
    match &section.start {
        Start::Folder(folder) => Ok(hugging_face::load(folder, device)?),
        Start::Random(shape) => {
            let vocab_size = args.vocab_size.or(tokens.vocab_size());
            let vocab_size = vocab_size
                .context("nothing tells the size of the vocabulary")
                .hint("give it with --vocab-size, or use token files with a header")?;
            Ok(Model::new(shape.config(vocab_size), device, seed)?)
        }
    }
}

/// How the student listens, with its teachers' folders.
fn distillation(
    settings: &DistillSettings,
    args: &TrainArgs,
    sample_seed: u64,
) -> anyhow::Result<Distillation> {
    let open = |teacher: &String| Teacher::open(teacher.clone(), Path::new(teacher));
    let teachers = settings.teachers.iter().map(open).collect::<Result<_, _>>()?;
    Ok(Distillation {
        settings: settings.clone(),
        teachers,
        caches: args.output.join("teachers"),
        sample_seed,
    })
}

/// The Hugging Face folders that a run reads, with what they are to it.
fn folders(section: &ModelSection) -> Vec<(&'static str, PathBuf)> {
    let start = match &section.start {
        Start::Folder(folder) => Some(("the model", folder.clone())),
        Start::Random(_) => None,
    };
    let teachers = section.distill.iter().flat_map(|distill| &distill.teachers);
    let teachers = teachers.map(|teacher| ("teacher", PathBuf::from(teacher)));
    start.into_iter().chain(teachers).collect()
}

/// Compares the tokenizers of all folders and token files that have one: equal sizes are not
/// enough, since ids would mean other words.
fn compare_tokenizers(
    section: &ModelSection,
    files: &[&TokenFile],
    given: Option<&Tokenizer>,
) -> anyhow::Result<()> {
    let mut known: Option<(String, Tokenizer)> = None;
    for (role, folder) in
        folders(section).iter().filter(|(_, folder)| folder.join("tokenizer.json").exists())
    {
        let reference = given.or(known.as_ref().map(|(_, tokenizer)| tokenizer));
        if let Some(reference) = reference {
            same_tokenizer(folder, role, reference)?;
        }
        known = Some((folder.display().to_string(), Tokenizer::from_folder(folder)?));
    }
    let mut hashes: Vec<(String, String)> =
        known.iter().map(|(name, t)| (name.clone(), t.content_hash())).collect();
    hashes.extend(given.map(|tokenizer| ("--tokenizer".to_owned(), tokenizer.content_hash())));
    let of_files = ["--tokens", "--validation"].iter().zip(files);
    hashes.extend(
        of_files.filter_map(|(flag, file)| Some((flag.to_string(), file.tokenizer_hash()?))),
    );
    match hashes.windows(2).find(|pair| pair[0].1 != pair[1].1) {
        None => Ok(()),
        Some(pair) => {
            Err(anyhow::anyhow!("{} and {} come from different tokenizers", pair[0].0, pair[1].0))
                .hint("encode the text with the tokenizer that the models were trained with")
        }
    }
}

/// A hash of everything that is read: token files and how they are read, start weights, teachers.
fn fingerprint(args: &TrainArgs, section: &ModelSection) -> anyhow::Result<String> {
    let mut stage = Stage::new("training", &args.raw_tokens)?.reads(&args.tokens)?;
    let folders = folders(section);
    for path in args.validation.iter().chain(folders.iter().map(|(_, folder)| folder)) {
        stage = stage.reads(path)?;
    }
    Ok(stage.fingerprint())
}
