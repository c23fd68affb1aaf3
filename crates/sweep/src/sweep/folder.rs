//! The folder of a sweep: its files, the sweep that they name, and where its store is.

use std::collections::BTreeSet;
use std::path::Path;

use crate::definition::Definition;
use crate::error::{FileContext, Result, refuse};
use crate::recipe::SweepFile;
use crate::store::{Address, Store};

/// Files of a sweep's folder.
pub mod place {
    /// The recipe of the sweep.
    pub const SWEEP: &str = "sweep.toml";
    /// The recipe that varies.
    pub const BASE: &str = "base.toml";
    /// The store, where it is a file of the folder.
    pub const DATABASE: &str = "store.db";
    /// The store's address.
    pub const STORE: &str = "store.txt";
    /// What trials share.
    pub const SHARED: &str = "shared";
    /// A folder for each trial.
    pub const TRIALS: &str = "trials";
}

/// Refuses a folder that holds something else than this sweep.
pub(super) fn check_folder(folder: &Path, name: &str) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let known = [place::SWEEP, place::BASE, place::STORE];
    if let Some(other) = name_in(folder)?.filter(|other| other != name) {
        return refuse(format_args!(
            "{} holds the sweep `{other}`; name a new folder with --output",
            folder.display()
        ));
    }
    // What is left of one that was ended before it had a recipe: its store, or a part of a file.
    let is_begun = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(place::DATABASE) || name.ends_with(".partial") || name == "lock"
        })
    };
    if known.iter().any(|name| folder.join(name).is_file()) || entries.all(is_begun) {
        return Ok(());
    }
    refuse(format_args!(
        "{} holds other files and no sweep; name a new folder with --output",
        folder.display()
    ))
}

/// The name of the sweep that a folder holds.
///
/// # Errors
/// When its recipe cannot be used.
pub fn name_in(folder: &Path) -> Result<Option<String>> {
    let place = folder.join(place::SWEEP);
    match std::fs::read_to_string(&place) {
        Ok(text) => Ok(Some(SweepFile::parse(&place, &text)?.recipe.name)),
        Err(_) => Ok(None),
    }
}

/// The name of the sweep whose trials a store has, of a folder that has no recipe: the folder's own
/// name, or that of the only sweep of the store.
pub fn name_in_store(folder: &Path, address: &Address) -> String {
    let own = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names = stored_names(address).unwrap_or_default();
    match names.len() {
        1 => names.pop_first().unwrap_or(own),
        _ => own,
    }
}

/// The names of all sweeps of a store.
fn stored_names(address: &Address) -> Result<BTreeSet<String>> {
    let mut store = Store::open(address)?;
    let mut names = BTreeSet::new();
    for name in store.studies()? {
        let study = store.study(&name)?;
        // What others have made is no sweep.
        let file = Definition::read(&mut store, study, &name).and_then(|found| found.file());
        names.extend(file.map(|file| file.recipe.name));
    }
    Ok(names)
}

/// The store of a sweep's folder.
///
/// # Errors
/// When the file that names it cannot be read.
pub fn stored_address(folder: &Path) -> Result<Option<Address>> {
    let path = folder.join(place::STORE);
    match std::fs::read_to_string(&path) {
        // The folder may have been moved since.
        Ok(text) => Ok(Some(match Address::parse(text.trim())? {
            Address::Sqlite(file) => Address::Sqlite(folder.join(file)),
            server => server,
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &path),
    }
}

/// Notes where a sweep has its store: in its own folder by the file's name, elsewhere by the whole
/// path.
pub(super) fn write_address(folder: &Path, address: &Address) -> Result<()> {
    let address = match address {
        Address::Sqlite(path) => Address::Sqlite(match path.strip_prefix(folder) {
            Ok(inside) => inside.to_owned(),
            Err(_) => std::path::absolute(path).at("find", path)?,
        }),
        server => server.clone(),
    };
    write(folder, place::STORE, &format!("{address}\n"))
}

/// Writes a file of a sweep's folder.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    Ok(experiment::files::write_text(&folder.join(name), text)?)
}

/// Whether a folder in that of trials is a trial's, by its name, and not that of a study.
pub fn is_trial_folder(name: &str) -> bool {
    name.len() >= TRIAL_DIGITS && name.bytes().all(|letter| letter.is_ascii_digit())
}

/// The name of a trial's folder.
pub(super) fn trial_folder_name(number: u64) -> String {
    format!("{number:0TRIAL_DIGITS$}")
}

/// The digits of a trial's number in the name of its folder, or more.
const TRIAL_DIGITS: usize = 5;
