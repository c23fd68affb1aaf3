//! The word list: a CSV file with `|` around fields that need it.

use std::path::Path;

use super::error::AgeError;

/// What the first line must say.
const HEADER: &str = "language,uni_lemma,lexical_category,category,definition,word_clean,aoa,concreteness,frequency";

/// The three kinds of words that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Noun,
    /// Verbs and adjectives.
    Predicate,
    FunctionWord,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// As it is searched in text, in lower case; two meanings of a word are two rows with the same text.
    pub text: String,
    pub category: Category,
    /// Months.
    pub age: f64,
    /// Rated from 1 to 5.
    pub concreteness: f64,
    /// Occurrences in child-directed speech.
    pub frequency: u64,
}

/// Words with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct WordList {
    pub rows: Vec<Word>,
}

impl WordList {
    /// Reads `word_list.csv` of the 2023 pipeline.
    pub fn read(path: &Path) -> Result<Self, AgeError> {
        let bytes = std::fs::read(path).map_err(|cause| AgeError::Io { path: path.to_owned(), cause })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count();
            AgeError::Row { path: path.to_owned(), line, what: "not UTF-8".to_owned() }
        })?;
        Self::parse(path, &text)
    }

    /// Reads the list from the text of a file; `path` is named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, AgeError> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let found = lines.next().map_or("", |(_, line)| line.trim_start_matches('\u{FEFF}').trim_end());
        if found != HEADER {
            let found: String = found.chars().take(200).collect();
            return Err(AgeError::Header { path: path.to_owned(), found, expected: HEADER });
        }
        let mut rows = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            let row = fields(text).and_then(|fields| word(&fields));
            rows.push(row.map_err(|what| AgeError::Row { path: path.to_owned(), line, what })?);
        }
        if rows.is_empty() {
            return Err(AgeError::NoWord { path: path.to_owned() });
        }
        Ok(Self { rows })
    }

    /// The texts of all words, each once, in the order of the list.
    pub fn texts(&self) -> Vec<&str> {
        let mut seen = std::collections::BTreeSet::new();
        self.rows.iter().map(|row| row.text.as_str()).filter(|text| seen.insert(*text)).collect()
    }
}

/// The fields of a line: between commas, or between `|` where a comma or a doubled `|` is part of the field.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().ok_or("no field")?;
        match character {
            '|' if quoted && characters.peek() == Some(&'|') => {
                characters.next();
                field.push('|');
            }
            '|' if quoted => quoted = false,
            '|' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted { Err("a `|` is never closed".to_owned()) } else { Ok(fields) }
}

fn word(fields: &[String]) -> Result<Word, String> {
    let [_, _, category, _, _, text, age, concreteness, frequency] = fields else {
        return Err(format!("{} fields; there must be 9", fields.len()));
    };
    let category = match category.as_str() {
        "nouns" => Category::Noun,
        "predicates" => Category::Predicate,
        "function_words" => Category::FunctionWord,
        other => return Err(format!("lexical_category is `{other}`; it must be nouns, predicates or function_words")),
    };
    if text.trim().is_empty() {
        return Err("word_clean is empty".to_owned());
    }
    let number = |name: &str, field: &str| {
        let number = field.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("{name} is `{field}`; it must be a number"))
    };
    let occurrences = frequency.trim().parse().ok().filter(|&count: &u64| count > 0);
    Ok(Word {
        text: text.to_lowercase(),
        category,
        age: number("aoa", age)?,
        concreteness: number("concreteness", concreteness)?,
        frequency: occurrences
            .ok_or_else(|| format!("frequency is `{frequency}`; it must be a whole number above 0"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &str) -> Result<WordList, String> {
        WordList::parse(Path::new("data/words.csv"), &format!("{HEADER}\n{rows}")).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_read_in_order_and_texts_once() {
        let list = parse(
            "English,slide,nouns,a,|slide, the|,slide,20.5,4.5,30\r\nEnglish,|a||b|,predicates,b,x,slide,21,3,7\n\n\
             English,a,function_words,c,a,a lot,22,1,8\n",
        )
        .unwrap();
        let slide =
            Word { text: "slide".into(), category: Category::Noun, age: 20.5, concreteness: 4.5, frequency: 30 };
        assert_eq!(list.rows[0], slide);
        assert_eq!(list.rows[1].category, Category::Predicate);
        assert_eq!(list.texts(), ["slide", "a lot"]);
        assert_eq!(fields("a,|b,|| c|,,|").unwrap_err(), "a `|` is never closed");
        assert_eq!(fields("a,|b,|| c|,").unwrap(), ["a", "b,| c", ""]);
    }

    #[test]
    fn bad_lists_are_named_with_their_line() {
        let row = |changes: &str| format!("E,a,nouns,a,a,ab,20,4,30\n{changes}\n");
        let cases = [
            ("E,a,nouns,a,a,ab,20,4", "words.csv, line 3: 8 fields; there must be 9"),
            ("E,a,noun,a,a,ab,20,4,30", "line 3: lexical_category is `noun`"),
            ("E,a,nouns,a,a,,20,4,30", "line 3: word_clean is empty"),
            ("E,a,nouns,a,a,ab,2O,4,30", "line 3: aoa is `2O`; it must be a number"),
            ("E,a,nouns,a,a,ab,20,inf,30", "line 3: concreteness is `inf`"),
            ("E,a,nouns,a,a,ab,20,4,0", "line 3: frequency is `0`; it must be a whole number above 0"),
            ("E,a,nouns,a,a,ab,20,4,1.5", "line 3: frequency is `1.5`"),
        ];
        for (changes, expected) in cases {
            let message = parse(&row(changes)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        assert!(parse("").unwrap_err().contains("words.csv lists no word"));
        let header = WordList::parse(Path::new("w.csv"), "word,aoa\n").unwrap_err().to_string();
        assert!(header.contains("line 1: the columns are `word,aoa`; they must be `language,"), "{header}");
    }
}
