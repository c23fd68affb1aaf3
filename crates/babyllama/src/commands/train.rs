//! `babyllama pretrain` and `babyllama distill`: one model on a token file, outside a recipe's run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use corpus::{TokenFile, Tokenizer};
use engine::Device;
use engine::cpu::Cpu;
use model::{Model, hugging_face};
use train::{DistillSettings, Outcome, Run, Teachers};

use crate::args::TrainArgs;
use crate::console;
use crate::failure::{Hint, Interrupted};
use crate::interrupt::Interrupt;
use crate::lock::RunLock;
use crate::pipeline::models::same_tokenizer;
use crate::recipe::{self, ModelRequest, ModelSection, Start};
use crate::stage::content_hash;
use crate::training_log::TrainingLog;

/// Trains the model that the flags describe, with teachers if they name any.
pub fn train(args: &TrainArgs, request: ModelRequest<'_>) -> anyhow::Result<()> {
    let section = recipe::load_model(&request)?;
    std::fs::create_dir_all(&args.output).with_context(|| format!("cannot make {}", args.output.display()))?;
    let _lock = RunLock::acquire(&args.output)?;
    let device: Arc<dyn Device> = Arc::new(Cpu::new());
    let tokenizer = args.tokenizer.as_deref().map(Tokenizer::load).transpose()?;
    let training = open(&args.tokens, args.raw_tokens, tokenizer.as_ref())?;
    let validation =
        args.validation.as_deref().map(|path| open(path, args.raw_tokens, tokenizer.as_ref())).transpose()?;
    let seed = section.train.seed.unwrap_or_default();
    let model = start(&section, args, &training, seed, &device)?;
    let distill = match &section.distill {
        None => None,
        Some(settings) => Some((settings.clone(), teachers(settings, &section, &model, tokenizer.as_ref())?)),
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

fn open(path: &Path, raw: bool, tokenizer: Option<&Tokenizer>) -> anyhow::Result<TokenFile> {
    if raw {
        return Ok(TokenFile::raw(path)?);
    }
    let file = TokenFile::open(path)?;
    if let Some(tokenizer) = tokenizer
        && file.tokenizer_hash() != Some(tokenizer.content_hash())
    {
        bail!("{} was made with another tokenizer than the one given", path.display());
    }
    Ok(file)
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

/// The teachers from their folders. Tokenizers are compared wherever both sides have one.
fn teachers(
    settings: &DistillSettings,
    section: &ModelSection,
    student: &Model,
    tokenizer: Option<&Tokenizer>,
) -> anyhow::Result<Teachers> {
    let device = student.device();
    let of_student = match (&section.start, tokenizer) {
        (Start::Folder(folder), None) if folder.join("tokenizer.json").exists() => {
            Some(Tokenizer::from_folder(folder)?)
        }
        _ => None,
    };
    let tokenizer = tokenizer.or(of_student.as_ref());
    let mut models = Vec::new();
    for teacher in &settings.teachers {
        let folder = PathBuf::from(teacher);
        if let (Some(tokenizer), true) = (tokenizer, folder.join("tokenizer.json").exists()) {
            same_tokenizer(&folder, "teacher", tokenizer)?;
        }
        models.push((teacher.clone(), hugging_face::load(&folder, device)?));
    }
    Ok(Teachers::new(models, student.config().vocab_size, section.train.sequence_length)?)
}

/// A hash of everything that is read: token files, start weights, teachers.
fn fingerprint(args: &TrainArgs, section: &ModelSection) -> anyhow::Result<String> {
    let mut files = vec![args.tokens.clone()];
    files.extend(args.validation.clone());
    let mut folders = Vec::new();
    if let Start::Folder(folder) = &section.start {
        folders.push(folder.clone());
    }
    folders.extend(section.distill.iter().flat_map(|distill| &distill.teachers).map(PathBuf::from));
    for folder in folders {
        let weights = folder.join("model.safetensors");
        files.push(if weights.exists() { weights } else { folder.join("model.safetensors.index.json") });
    }
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(content_hash(&file).with_context(|| format!("cannot read {}", file.display()))?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
