//! What to do about the errors of the libraries and of the file system, in words that follow
//! "next:".

use std::io::{self, ErrorKind};

use base::input_file::is_lfs_pointer;
use corpus::CorpusError;
use engine::{DeviceError, Fault};
use eval::EvalError;
use eval::age_of_acquisition::AgeError;
use eval::classification::ClassificationError;
use experiment::stage::StageError;
use model::ModelError;
use report::ReportError;
use sweep::SweepError;
use sweep::store::StoreError;
use train::TrainError;
use train::signals::cache::CacheError;

/// The advice for errors whose cause needs no explanation.
pub const MEND: &str = "mend the cause and give the same command again; what was finished is kept";

const CHECK_PATH: &str = "check the path; relative ones begin in the working directory";
const SAME_TOKENIZER: &str = "use models and token files of one and the same tokenizer";
const NAME_TOKEN: &str =
    "name the token in the folder's tokenizer_config.json or special_tokens_map.json";
const TOO_SHORT: &str = "take more text, or a smaller sequence_length";

/// The numbers that Unix gives to "too many open files", of a process and of the machine.
const TOO_MANY_OPEN_FILES: [i32; 2] = [24, 23];

/// Advice on a sweep; `None` where the error behind it leads further.
pub fn on_sweep(error: &SweepError) -> Option<&'static str> {
    Some(match error {
        SweepError::Store(error) => on_store(error),
        SweepError::Space(_) => "see docs/SWEEPS.md for what a space may have",
        SweepError::Definition { .. } => "work on it with the version of the program that made it",
        SweepError::Changed { .. } => {
            "name a new sweep with --set name=NAME, or give the recipe that it was made from"
        }
        SweepError::OtherText => "give the old text back, or make a new sweep of the new one",
        SweepError::WrongUsage(_) | SweepError::Refused(_) => {
            "change that and give the command again"
        }
        SweepError::File { source, .. } => on_file(source),
        _ => return None,
    })
}

fn on_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Address(_) => "name a store with --store",
        StoreError::Missing(_) => "check the path; `babyllama sweep create` makes a store",
        error if error.may_pass() => {
            "end what holds the store, or wait for it, and give the same command again"
        }
        StoreError::Sqlite { .. } => {
            "check that the file is a store, may be written, and has room on its disk"
        }
        StoreError::NoPostgres => "build it with the feature `postgres`, or use sqlite:FILE",
        StoreError::NetworkFileSystem { .. } => {
            "keep the store on a local disk, or use PostgreSQL for several machines"
        }
        StoreError::ReadOnly(_) => {
            "`babyllama sweep export` still works; make a new store to go on"
        }
        StoreError::NoStudy { .. } | StoreError::Foreign(_) => {
            "name a study of the store with --study; `optuna studies` lists all"
        }
        StoreError::Exists(_) => "name another study",
        StoreError::StudyGone => "make it again with `babyllama sweep create`",
        StoreError::Objectives(_) => "name another study",
        StoreError::LeaseLost { .. } => "nothing is to be done: another worker goes on",
        StoreError::NoTrial(_) => "`babyllama sweep status --trials` lists all trials",
        StoreError::Postgres { .. } => {
            "check that the server runs, and user, database and PGPASSWORD"
        }
        _ => "the store was edited: `babyllama sweep export` may still read it",
    }
}

/// Advice on a failed read or write.
pub fn on_file(cause: &io::Error) -> &'static str {
    if let Some(ReportError::File { source, .. }) =
        cause.get_ref().and_then(|inner| inner.downcast_ref())
    {
        return on_file(source);
    }
    if is_lfs_pointer(cause) {
        return "fetch the file itself, with `git lfs pull` for instance";
    }
    if cause.raw_os_error().is_some_and(|number| TOO_MANY_OPEN_FILES.contains(&number)) {
        return "allow more open files, as with `ulimit -n 4096`, and give the same command again";
    }
    match cause.kind() {
        ErrorKind::IsADirectory => "a file belongs there: name one, or move the folder away",
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput => CHECK_PATH,
        ErrorKind::InvalidFilename => "take a shorter path, or shorter names of models",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "check who may read and write there"
        }
        ErrorKind::FileTooLarge => {
            "allow larger files, as with `ulimit -f unlimited` or on another file system, and give \
             the same command again"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on the disk and give the same command again; what was finished is kept"
        }
        ErrorKind::WouldBlock | ErrorKind::OutOfMemory => {
            "end other programs, or ask for fewer --threads, and give the same command again"
        }
        _ => "check the disk and give the same command again; what was finished is kept",
    }
}

/// Advice on the stages of a run, beside that on the files themselves.
pub fn on_stage(error: &StageError) -> Option<&'static str> {
    let again = "delete that file and give the same command again: its stage is then done again";
    matches!(error, StageError::Damaged { .. }).then_some(again)
}

/// Advice on texts, tokenizers and token files.
pub fn on_corpus(error: &CorpusError) -> &'static str {
    match error {
        CorpusError::Missing { path } if path.ends_with("tokenizer.json") => {
            "check the path; the tokenizer's files belong there: tokenizer.json, or vocab.json \
             with merges.txt"
        }
        CorpusError::Missing { .. } => CHECK_PATH,
        CorpusError::Read { cause, .. } | CorpusError::Write { cause, .. } => on_file(cause),
        CorpusError::CorpusFile { .. } => "fetch that file, or remove it from the folder",
        CorpusError::InvalidUtf8 { .. } => {
            "turn the file into UTF-8, with iconv for instance, or leave it out"
        }
        CorpusError::EmptyCorpus { .. } => "check the path, or put text there",
        CorpusError::OtherText { .. } => {
            "name another folder with --output, or replace what is there with --replace"
        }
        CorpusError::SameName { .. } => "give them different names, or use them one at a time",
        CorpusError::ShorterThanOneSequence { .. } => TOO_SHORT,
        CorpusError::TooFewLines { .. } => {
            "take more text, or name a folder of held-out text in corpus.validation"
        }
        CorpusError::VocabularyTooSmall { .. } => "ask for a larger vocabulary",
        CorpusError::BadTokenizer { .. } => {
            "give a tokenizer.json such as `babyllama tokenizer train` writes"
        }
        CorpusError::NoSuchRole { .. } => NAME_TOKEN,
        CorpusError::SentencePiece { .. } => {
            "convert it: `pip install transformers==4.51.3 sentencepiece protobuf`, and in Python \
             `from transformers import T5TokenizerFast as T; \
             T.from_pretrained(FOLDER).save_pretrained(FOLDER)`"
        }
        CorpusError::TokenOutside { .. } => SAME_TOKENIZER,
        CorpusError::BadTokenFile { .. } => {
            "give a token file that a run wrote, such as tokens/train.bin, or --raw-tokens for \
             bare 16-bit ids"
        }
        CorpusError::ValidationFraction { .. } | CorpusError::Stopped(_) => MEND,
        CorpusError::Tokenizer { .. } => ANOTHER_TOKENIZER,
    }
}

/// Advice on models and their folders.
pub fn on_model(error: &ModelError) -> &'static str {
    match error {
        ModelError::Io { cause, .. } => on_file(cause),
        ModelError::NotAModel { .. } => {
            "give a folder with config.json and model.safetensors, such as a run's \
             models/NAME/final"
        }
        ModelError::ModelBelow { .. } => "give that folder, or another model's",
        ModelError::Pickle { .. } => {
            "let transformers write it anew with save_pretrained, which makes safetensors"
        }
        ModelError::GitLfs { .. } => {
            "fetch the files with `git lfs pull` in that folder, or download them anew"
        }
        ModelError::NotAPlainName { .. } => {
            "put the weights' files beside their index and name them there without a folder"
        }
        ModelError::NotAFile { .. } | ModelError::LongJson { .. } => {
            "check the path; a model's files are regular ones, as transformers writes them"
        }
        ModelError::Unsupported { key, .. } if key == "model_type" => {
            "take a model of one of these families"
        }
        ModelError::Unsupported { .. } => {
            "take a model without that setting; or, if it is certain that the weights do not need \
             it, remove the key from a copy of the folder"
        }
        ModelError::NotFinite { .. } | ModelError::LogitsNotFinite { .. } => {
            "train the model again with a lower learning_rate, take another checkpoint, or fetch \
             the file again"
        }
        ModelError::OtherHead { .. } => {
            "save the model with one matrix for both, or take another model"
        }
        ModelError::Json { .. } | ModelError::MissingKey { .. } | ModelError::ConfigFile { .. } => {
            "mend that file, or fetch it again from where the model is from"
        }
        ModelError::NoBeginToken => "give a --prompt with a word at least",
        ModelError::Safetensors { .. } => "fetch or write the file again",
        ModelError::MissingTensor { .. } | ModelError::Shape { .. } => {
            "put together a config.json and weights of the same model"
        }
        ModelError::ElcVariant { .. } => {
            "state \"elc_variant\" in its config.json: base, zero, normalized or weighted_output, \
             by the code that it was trained with"
        }
        ModelError::NotAClassifier { .. } => {
            "fine-tune it first; `babyllama finetune --keep` leaves classifiers"
        }
        ModelError::NotALanguageModel { .. } => {
            "give the language model that it was fine-tuned from"
        }
        ModelError::TokenOutside { .. } => SAME_TOKENIZER,
        ModelError::NotCausal { .. } | ModelError::NotCausalFolder { .. } => {
            "take a model that predicts the next token; masked ones and encoder-decoders can do \
             `evaluate blimp`, `evaluate ewok` and `finetune`"
        }
        ModelError::EncoderOnly { .. } => "take the folder of the whole model, with its decoder",
        ModelError::TooLong { .. } => "shorten the text, or take a model with more positions",
        _ => MEND,
    }
}

/// Advice on training runs.
pub fn on_training(error: &TrainError) -> &'static str {
    match error {
        TrainError::Model(error) => on_model(error),
        TrainError::Corpus(error) => on_corpus(error),
        TrainError::Cache(error) => on_cache(error),
        TrainError::Io { cause, .. } if cause.kind() == ErrorKind::InvalidData => {
            "delete that file and the folder checkpoints beside it to train from the beginning"
        }
        TrainError::Io { cause, .. } => on_file(cause),
        TrainError::TooShort { .. } => TOO_SHORT,
        TrainError::TooShortPhase { .. } => {
            "name more files in the phase's sources, or take a smaller sequence_length"
        }
        TrainError::FinetuneNotFinite { .. } | TrainError::LogitsNotFinite => {
            "lower the learning rate of that task, as with --set rte.learning_rate=1e-5"
        }
        TrainError::TooManyPositions { .. } => {
            "take a smaller sequence_length, or a model with more positions"
        }
        TrainError::TokenOutside { .. }
        | TrainError::TeacherVocabulary { .. }
        | TrainError::EnsembleVocabulary { .. } => SAME_TOKENIZER,
        TrainError::NotFinite { .. } | TrainError::HeldoutNotFinite { .. } => {
            "lower learning_rate, lengthen the warm-up, or clip with max_grad_norm"
        }
        TrainError::ClimbNotFinite { .. } => {
            "take a smaller sam.rho: 0.05 is usual, and ten times that with sam.adaptive"
        }
        TrainError::OtherRun { .. } => {
            "give the same settings again to continue, or another --output to begin anew"
        }
        TrainError::DamagedCheckpoint { .. } => {
            "remove the folder checkpoints to train from the beginning"
        }
        TrainError::DamagedBest { .. } => {
            "restore it or best.json, which has its hash, or delete best.json and the folders best \
             and checkpoints there to train from the beginning"
        }
        TrainError::Device(fault) => on_fault(fault),
        TrainError::OutOfMemory { sequences: 1, fault, .. } => on_fault(fault),
        TrainError::OutOfMemory { .. } => {
            "set a smaller micro_batch_size, or 0, which finds out how many fit"
        }
        TrainError::NoExamples { .. }
        | TrainError::Example { .. }
        | TrainError::NotInCache
        | TrainError::Stopped(_)
        | TrainError::Setting(_) => MEND,
    }
}

/// Advice on teacher caches.
fn on_cache(error: &CacheError) -> &'static str {
    match error {
        CacheError::Io { cause, .. } => match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "make room on the disk or name another folder with `cache`; codec = \"bf16\" \
                 halves hidden states, signal = \"sampled\" needs less, fewer samples less \
                 still, and signal = \"online\" nothing"
            }
            _ => on_file(cause),
        },
        CacheError::Differs { .. } => "name another folder with `cache`, or delete that one",
        CacheError::Damaged { .. } | CacheError::Truncated { .. } => {
            "repair it with `babyllama cache-teachers RECIPE --output RUN`, or delete the cache's \
             folder"
        }
        CacheError::Manifest { .. } => {
            "name another folder with `cache`, or delete that one if nothing else needs it"
        }
        CacheError::Foreign { .. } => "name another folder with `cache`",
        CacheError::Busy { .. } => {
            "wait until that process ends, or name another folder with `cache`"
        }
    }
}

/// Advice on opening a device.
pub fn on_device(error: &DeviceError) -> &'static str {
    match error {
        DeviceError::NoDriver { .. } => {
            "install the NVIDIA driver, or take the CPU with --device cpu"
        }
        DeviceError::NoSuchGpu { .. } => {
            "see `nvidia-smi --list-gpus` and CUDA_VISIBLE_DEVICES, or take the CPU with \
             --device cpu"
        }
        DeviceError::NoLibrary { .. } => {
            "install the CUDA toolkit, or `pip install nvidia-cuda-nvrtc-cu12 \
             nvidia-cublas-cu12`, and name the folders of both libraries in LD_LIBRARY_PATH; or \
             take the CPU with --device cpu"
        }
        DeviceError::TooOld { .. } => {
            "take a GPU of compute capability 8.0 or later (A100, RTX 30 and newer), or the CPU \
             with --device cpu"
        }
        DeviceError::NotOnGpu(_) => "take --precision bf16 or f32, or the CPU with --device cpu",
        DeviceError::Kernel { .. } => {
            "take the CPU with --device cpu, and report this as a defect of babyllama"
        }
        DeviceError::Driver { .. } => {
            "see what `nvidia-smi` reports about the GPU, or take the CPU with --device cpu"
        }
    }
}

/// Advice on a device that cannot go on.
pub fn on_fault(fault: &Fault) -> &'static str {
    match fault {
        Fault::OutOfMemory { .. } => {
            "end other programs that use the GPU's memory, or take shorter sequences, a smaller \
             model or signal = \"hidden\"; what was finished is kept"
        }
        Fault::Unsupported { .. } => "use the CPU for this model, with --device cpu",
        Fault::Device { .. } => {
            "see what `nvidia-smi` reports about the GPU, and give the same command again; what \
             was \
             finished is kept"
        }
    }
}

/// The library fails at a text for no other reason than a part from outside.
const ANOTHER_TOKENIZER: &str =
    "leave that text out, or simplify the patterns in tokenizer.json, which come from outside";

/// Advice on evaluation data.
pub fn on_evaluation(error: &EvalError) -> &'static str {
    match error {
        EvalError::Io { cause, .. } => on_file(cause),
        EvalError::NoTasks { .. } => "give a folder of *.jsonl files in BLiMP's format",
        EvalError::SameTask { .. } => "give one of them another name, or remove it",
        EvalError::NoItems { .. } => {
            "give a file or folder with Context1, Context2, Target1 and Target2 in every row"
        }
        EvalError::Empty { .. } => "check the path, or leave the file out",
        EvalError::OutOfOrder { .. } => "score the model again; the file is not as it was written",
        EvalError::Json { .. }
        | EvalError::Csv { .. }
        | EvalError::MissingField { .. }
        | EvalError::WrongField { .. }
        | EvalError::NotUtf8 { .. }
        | EvalError::NoTwin { .. } => "mend that line and give the same command again",
        EvalError::NothingToScore { .. } => {
            "leave that item out, or take a model whose tokenizer knows the text"
        }
        EvalError::EnsembleVocabulary { .. } | EvalError::TokenOutside { .. } => SAME_TOKENIZER,
        EvalError::NotFinite { .. } => {
            "train the model again with a lower learning_rate, or take another checkpoint"
        }
        EvalError::Classification(error) => on_classification(error),
        EvalError::Stopped(_) => MEND,
        EvalError::Encoding { .. } => ANOTHER_TOKENIZER,
        EvalError::MixedEnsemble => "score these models one at a time, without --ensemble",
        EvalError::NotMaskedNext => "score it without --backend mntp",
        EvalError::OtherBackend { .. } => {
            "take causal or mntp for models that predict the next token, mlm or mntp for masked \
             ones, enc_dec_mask for encoder-decoders"
        }
        EvalError::NoRegression { .. } => "give the pipelines' reading_data.csv, whole",
        EvalError::OutOfMemory { fault, .. } => on_fault(fault),
        EvalError::TooFewPositions { .. } | EvalError::TextTooLong { .. } => {
            "take a model with more positions (in fine-tuning: or a larger max_length)"
        }
        EvalError::NoMaskedToken { .. } | EvalError::NoEncoderDecoderToken { .. } => NAME_TOKEN,
        EvalError::PrefixOutside { .. } => {
            "name a token of the vocabulary there in tokenizer_config.json or \
             special_tokens_map.json, or null for none"
        }
        EvalError::NoPrefixToken { .. } => {
            "take the rules of the other year, or a tokenizer with that token"
        }
    }
}

/// Advice on the items of (Super)GLUE and MSGS.
fn on_classification(error: &ClassificationError) -> &'static str {
    match error {
        ClassificationError::Label { .. } | ClassificationError::NoTokens { .. } => {
            "mend that line or take it out, and give the same command again"
        }
        ClassificationError::UnseenLabel { .. } => {
            "check that training and validation file belong together"
        }
        ClassificationError::OneLabel { .. } => "give a training file with items of every label",
    }
}

/// Advice on the age of acquisition.
pub fn on_ages(error: &AgeError) -> &'static str {
    match error {
        AgeError::Io { cause, .. } => on_file(cause),
        AgeError::Scoring(error) => on_evaluation(error),
        AgeError::Header { .. } | AgeError::NoWord { .. } => {
            "give the word_list.csv of BabyLM's pipeline of 2023"
        }
        AgeError::Row { .. } => "mend that line and give the same command again",
        AgeError::Json { .. } => {
            "give a list such as sent_words.json, or text with one utterance a line under \
             another name"
        }
        AgeError::NoOccurrence | AgeError::TooFewWords { .. } => {
            "take more text, or text in which more of the list's words occur"
        }
    }
}
