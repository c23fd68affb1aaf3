//! Opening teachers for a student.

use std::path::Path;

use corpus::Tokenizer;
use train::Teacher;

use crate::error::Result;
use crate::observer::Observer;
use crate::{remarks, verify};

/// Opens a teacher's folder for a student of `vocab_size` token ids. Where the teacher's own
/// tokenizer has just as many, the rows of its vocabulary beyond them are padding and are left
/// out.
///
/// # Errors
/// When the folder holds no model that predicts the next token.
pub(crate) fn open(
    name: &str,
    folder: &Path,
    vocab_size: usize,
    observer: &dyn Observer,
) -> Result<Teacher> {
    let teacher = Teacher::open(name, folder)?;
    let rows = teacher.config().vocab_size;
    if rows > vocab_size
        && Tokenizer::from_folder(folder).is_ok_and(|own| own.vocab_size() == vocab_size)
    {
        observer.note(format_args!(
            "teacher {name} has {rows} rows for the {vocab_size} ids of its tokenizer; the rows \
             beyond are left out"
        ));
        return Ok(teacher.without_padding(vocab_size));
    }
    Ok(teacher)
}

/// Warns where a teacher's tokenizer does not put the tokens before texts that `tokenizer` puts
/// before each document of the text.
///
/// # Errors
/// When the teacher has no tokenizer that can be read.
pub(crate) fn warn_of_begin(
    name: &str,
    tokenizer: &Tokenizer,
    observer: &dyn Observer,
) -> Result<()> {
    let own = Tokenizer::from_folder(Path::new(name))?.tokens_around(false);
    // What cannot be compared is no reason to refuse a teacher.
    if let (Ok([own, ..]), Ok([begin, ..])) = (own, tokenizer.tokens_around(false))
        && own != begin
    {
        observer.warn(format_args!(
            "teacher {name}: its tokenizer does not put the token before texts that documents \
             begin with here (`tokenizer.begin_token`), so that it may never have read it"
        ));
    }
    Ok(())
}

/// Opens a teacher that was not trained in this run, and warns of what in its folder is not used.
///
/// # Errors
/// As [`open`], and when its files are damaged.
pub(crate) fn open_foreign(
    name: &str,
    vocab_size: usize,
    observer: &dyn Observer,
) -> Result<Teacher> {
    let folder = Path::new(name);
    verify::model_folder(folder)?;
    remarks::warn(folder, observer)?;
    open(name, folder, vocab_size, observer)
}
