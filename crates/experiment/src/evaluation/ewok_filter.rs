//! The filter of the 2024 pipeline, by which `ewok_filtered` was made from EWoK's own items.

use std::path::Path;

use base::atomic_file;
use eval::ewok::{Domain, Vocabulary, read, to_lines};

use crate::error::{Context, FileContext, Result, refuse};
use crate::{files, outputs};

/// How many questions of a domain there were, and how many were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredDomain {
    /// The domain's name.
    pub name: String,
    /// Questions before the filter.
    pub questions: usize,
    /// Questions whose words are all in the vocabulary.
    pub kept: usize,
}

/// Writes the questions all of whose words are in a list, a file for each domain, into a new or
/// empty folder.
///
/// # Errors
/// When nothing is kept, two domains would share a file, or the folder is not empty.
pub fn filter(data: &Path, vocabulary: &Path, output: &Path) -> Result<Vec<FilteredDomain>> {
    let (domains, vocabulary) = (read(data)?, Vocabulary::read(vocabulary)?);
    let kept: Vec<Domain> = domains.iter().map(|domain| vocabulary.filter(domain)).collect();
    if kept.iter().all(|domain| domain.items.is_empty()) {
        let data = data.display();
        return refuse(format_args!("every item of {data} has a word that the vocabulary lacks"))
            .advise(
                "give a list of words, one a line in lower case, with punctuation marks among them",
            );
    }
    let names = kept.iter().map(|domain| file_name(&domain.name)).collect::<Result<Vec<_>>>()?;
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
    if let Some((_, name)) = twice {
        return refuse(format_args!("two domains would be {name}"))
            .advise("rename one of these domains in the data");
    }
    outputs::check_no_run_part(output)?;
    files::make_folder(output)?;
    if std::fs::read_dir(output).at("read", output)?.next().is_some() {
        return refuse(format_args!("{} is not empty", output.display()))
            .advise("name a new folder with --output");
    }
    for (domain, name) in kept.iter().zip(&names).filter(|(domain, _)| !domain.items.is_empty()) {
        let path = output.join(name);
        atomic_file::write(&path, to_lines(domain).as_bytes()).at("write", &path)?;
    }
    let counts = domains.iter().zip(&kept).map(|(before, after)| FilteredDomain {
        name: before.name.clone(),
        questions: before.items.len(),
        kept: after.items.len(),
    });
    Ok(counts.collect())
}

/// A domain's file. Names come from the data, and must not lead elsewhere.
fn file_name(domain: &str) -> Result<String> {
    match domain.trim() {
        "" => refuse("an item has no domain")
            .advise("name the domain of every item in its field `Domain`"),
        name => Ok(format!("{}.jsonl", name.replace(['/', '\\'], "-"))),
    }
}
