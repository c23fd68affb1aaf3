//! What the preparation of a run's text follows from: the files of the text, and the stages that
//! make text, tokenizer and tokens of them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use base::ShouldStop;
use corpus::Tokenizer;
use serde_json::json;

use super::Run;
use super::prepared::{TRAIN, VALIDATION};
use crate::error::{Context, Result, refuse};
use crate::identity;
use crate::recipe::{CorpusSection, Recipe, Source, Validation};
use crate::stage::{Record, Stage, Stages, Status, hash_of_input};

/// The stages of the preparation, with everything that their results follow from.
pub(super) struct PreparationStages {
    pub(super) corpus: Stage,
    pub(super) tokenizer: Stage,
    pub(super) tokens: Stage,
}

impl PreparationStages {
    /// Those of a recipe and its files. `has_roles` is whether the stage of the text names held-out
    /// files as such: programs before 2026-12 did not, so that a file which moved from one folder
    /// to the other changed nothing.
    fn of(recipe: &Recipe, files: &[CorpusFile], has_roles: bool) -> Result<Self> {
        let corpus = corpus_stage(recipe, files, has_roles)?;
        let mut tokenizer = Stage::new("tokenizer", &recipe.tokenizer)?.after(&corpus);
        for path in recipe.tokenizer.path.iter().flat_map(|path| Tokenizer::files(path)) {
            tokenizer = tokenizer.reads(&path)?;
        }
        // Only the tokens that begin documents depend on where these are.
        let documents = recipe.tokenizer.begin_token.then_some(&recipe.corpus.documents);
        let tokens = Stage::new("tokens", &documents)?.after(&corpus).after(&tokenizer);
        Ok(Self { corpus, tokenizer, tokens })
    }

    pub(super) fn all(&self) -> [&Stage; 3] {
        [&self.corpus, &self.tokenizer, &self.tokens]
    }

    /// The stage that every model stands on.
    pub(super) fn tokens(&self) -> &Stage {
        &self.tokens
    }

    /// Refuses data that is not complete, and where nothing can be written to complete it.
    pub(super) fn require_done(&self, there: &Stages<'_>, folder: &Path) -> Result<()> {
        for stage in self.all() {
            if let Status::Run(reason) = there.status(stage)? {
                let (folder, name) = (folder.display(), stage.name());
                return refuse(format_args!(
                    "the prepared data {folder} cannot be written and is not complete: stage \
                     {name}: {reason}"
                ))
                .advise("name a folder that can be written with --prepared, or none");
            }
        }
        Ok(())
    }
}

/// What the names of held-out files begin with in the stage of the text.
const HELD_OUT: &str = "validation/";

/// A file that a recipe's text comes from.
struct CorpusFile {
    name: String,
    is_held_out: bool,
    hash: String,
}

/// The files that a recipe's text comes from, with the hashes of their contents.
fn corpus_files(recipe: &Recipe, should_stop: ShouldStop<'_>) -> Result<Vec<CorpusFile>> {
    let source = match &recipe.corpus.source {
        Source::Folder(folder) => Some((folder, false)),
        Source::Builtin => None,
    };
    let validation = match &recipe.corpus.validation {
        Validation::Folder(folder) => Some((folder, true)),
        Validation::Builtin | Validation::Split => None,
    };
    let mut files = Vec::new();
    for (folder, is_held_out) in source.into_iter().chain(validation) {
        for path in identity::text_files(folder)? {
            let hash = hash_of_input(should_stop, &path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(CorpusFile { name, is_held_out, hash });
        }
    }
    Ok(files)
}

fn corpus_stage(recipe: &Recipe, files: &[CorpusFile], has_roles: bool) -> Result<Stage> {
    // Where documents begin, and how many pairs there are, changes neither text nor tokens.
    let section = CorpusSection {
        documents: BTreeMap::new(),
        pairs_per_paradigm: CorpusSection::default().pairs_per_paradigm,
        ..recipe.corpus.clone()
    };
    let stage = Stage::new("corpus", &json!({ "corpus": section, "seed": recipe.seed }))?;
    let add = |stage: Stage, file: &CorpusFile| {
        let name = match file.is_held_out && has_roles {
            true => format!("{HELD_OUT}{}", file.name),
            false => file.name.clone(),
        };
        stage.follows(&name, file.hash.clone())
    };
    Ok(files.iter().fold(stage, add))
}

impl Run<'_> {
    /// What the preparation follows from. A run that an older program has begun keeps the form that
    /// it has.
    pub(super) fn preparation_stages(&self) -> Result<PreparationStages> {
        let files = corpus_files(&self.recipe, &|| self.observer.should_stop())?;
        let older = PreparationStages::of(&self.recipe, &files, false)?;
        let record_in = |stages: &Stages<'_>| stages.record(older.corpus.name()).ok().flatten();
        let shared = || record_in(&Stages::look(&self.shared_folder(&older)?));
        match record_in(&self.stages).or_else(shared) {
            Some(record) if is_of_an_older_program(&record, &files) => Ok(older),
            _ => PreparationStages::of(&self.recipe, &files, true),
        }
    }
}

/// Whether a record does not have in which folder the files were, and none of those that are there
/// now had, by what the stage has left, another role than it has now.
fn is_of_an_older_program(record: &Record, files: &[CorpusFile]) -> bool {
    let mut recorded = record.stage().files();
    let left: HashSet<&Path> = record.outputs().map(|(path, _)| path).collect();
    let has_moved = |file: &CorpusFile| {
        let other = if file.is_held_out { TRAIN } else { VALIDATION };
        left.contains(&*Path::new(other).join(&file.name))
    };
    !recorded.any(|(name, _)| name.starts_with(HELD_OUT)) && !files.iter().any(has_moved)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::run::RunSettings;
    use crate::{Silent, recipe};

    #[test]
    fn the_folder_of_a_text_counts_but_for_runs_that_an_older_program_began() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (file, text) in [("text/a.train", "one"), ("text/b.train", "two"), ("held/c.train", "")]
        {
            fs::create_dir_all(place(file).parent().unwrap()).unwrap();
            fs::write(place(file), text).unwrap();
        }
        let [source, validation] = ["text", "held"].map(|name| place(name).display().to_string());
        let text = format!(
            "[corpus]\nsource = '{source}'\nvalidation = '{validation}'\n[models.a]\nfrom = 'a'"
        );
        let recipe = recipe::embedded("small.toml", &text).unwrap();
        let stages = |run: &str| {
            let settings = RunSettings::on_cpu(place(run));
            let stages = Run::look(recipe.clone(), &settings, &Silent).preparation_stages();
            stages.unwrap().tokens.fingerprint()
        };
        let older = || {
            let files = corpus_files(&recipe, &|| false).unwrap();
            PreparationStages::of(&recipe, &files, false).unwrap()
        };
        let (before, before_of_older) = (stages("new"), older());
        assert_ne!(before, before_of_older.tokens.fingerprint());
        let records = Stages::open(&place("old")).unwrap();
        for file in ["corpus/train/b.train", "corpus/validation/c.train"] {
            fs::create_dir_all(place("old").join(file).parent().unwrap()).unwrap();
            fs::write(place("old").join(file), "text").unwrap();
        }
        let left = [TRAIN, VALIDATION].map(Path::new);
        records.perform(&before_of_older.corpus, &left, &Silent, |_| Ok(())).unwrap();
        assert_eq!(stages("old"), before_of_older.tokens.fingerprint());
        fs::rename(place("text/b.train"), place("held/b.train")).unwrap();
        assert_ne!(stages("new"), before);
        assert_eq!(older().tokens.fingerprint(), before_of_older.tokens.fingerprint());
        assert_eq!(stages("old"), stages("new"));
    }
}
