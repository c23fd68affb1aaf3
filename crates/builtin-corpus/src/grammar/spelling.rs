//! Regular endings and the article, by the rules of English spelling.

const VOWELS: &[char] = &['a', 'e', 'i', 'o', 'u'];

/// Words of more than one syllable that double their last letter: stressed there, or British in
/// their `l`.
const LONG_AND_DOUBLED: &[&str] = &["begin", "forget", "admit", "travel"];

fn ends_with_consonant_and_y(word: &str) -> bool {
    let mut letters = word.chars().rev();
    letters.next() == Some('y') && letters.next().is_some_and(|letter| !VOWELS.contains(&letter))
}

/// Whether the last consonant is doubled before a vowel: one short vowel before it in the only (or
/// stressed) syllable.
fn doubles(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    let [.., before, vowel, last] = letters[..] else { return false };
    let short = VOWELS.contains(&vowel) && !VOWELS.contains(&last) && !"wxy".contains(last);
    let after_qu = before == 'u' && letters.len() > 3 && letters[letters.len() - 4] == 'q';
    let one_syllable = letters.iter().filter(|letter| VOWELS.contains(letter)).count() == 1;
    short
        && (one_syllable || after_qu || LONG_AND_DOUBLED.contains(&word))
        && !VOWELS.contains(&before)
}

/// The plural of a noun and the third person of a verb.
pub(crate) fn with_s(word: &str) -> String {
    if ends_with_consonant_and_y(word) {
        format!("{}ies", &word[..word.len() - 1])
    } else if ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end))
        || ["go", "do", "echo"].contains(&word)
    {
        format!("{word}es")
    } else {
        format!("{word}s")
    }
}

/// The regular past.
pub(crate) fn with_ed(word: &str) -> String {
    if word.ends_with('e') {
        format!("{word}d")
    } else if ends_with_consonant_and_y(word) {
        format!("{}ied", &word[..word.len() - 1])
    } else {
        format!("{}ed", doubled(word))
    }
}

/// The present participle.
pub(crate) fn with_ing(word: &str) -> String {
    match word.strip_suffix('e') {
        Some(stem) if !word.ends_with("ee") && word != "be" => format!("{stem}ing"),
        _ => format!("{}ing", doubled(word)),
    }
}

/// The comparative of a short adjective.
pub(crate) fn with_er(word: &str) -> String {
    if word.ends_with('e') {
        format!("{word}r")
    } else if ends_with_consonant_and_y(word) {
        format!("{}ier", &word[..word.len() - 1])
    } else {
        format!("{}er", doubled(word))
    }
}

fn doubled(word: &str) -> String {
    match word.chars().last() {
        Some(last) if doubles(word) => format!("{word}{last}"),
        _ => word.to_string(),
    }
}

/// `a` or `an`, by the sound of the word that follows.
pub(crate) fn article(next: &str) -> &'static str {
    let next = next.to_lowercase();
    let like_you = ["uni", "use", "usu", "eu", "one"].iter().any(|start| next.starts_with(start));
    let silent_h = ["hour", "honest", "heir"].iter().any(|start| next.starts_with(start));
    if silent_h || (next.starts_with(VOWELS) && !like_you) { "an" } else { "a" }
}

/// The text after its article: "a cup", "an old cup".
pub(crate) fn with_article(text: &str) -> String {
    format!("{} {text}", article(text))
}

/// The text with its first letter in upper case.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The words that are not empty, with one space between.
pub(crate) fn joined(words: &[&str]) -> String {
    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_follow_the_rules() {
        let endings = |word: &str| [with_s(word), with_ed(word), with_ing(word)].join(" ");
        assert_eq!(endings("hug"), "hugs hugged hugging");
        assert_eq!(endings("play"), "plays played playing");
        assert_eq!(endings("hurry"), "hurries hurried hurrying");
        assert_eq!(endings("open"), "opens opened opening");
        assert_eq!(endings("wash"), "washes washed washing");
        assert_eq!(endings("admit"), "admits admitted admitting");
        assert_eq!(endings("look"), "looks looked looking");
        assert_eq!(endings("agree"), "agrees agreed agreeing");
        assert_eq!(
            ["big", "happy", "large", "old"].map(with_er),
            ["bigger", "happier", "larger", "older"]
        );
    }

    #[test]
    fn articles_follow_the_sound() {
        let phrases =
            ["apple", "honest man", "uniform", "hat", "useful tool", "ugly hat", "one", "umbrella"]
                .map(with_article);
        let wanted = [
            "an apple",
            "an honest man",
            "a uniform",
            "a hat",
            "a useful tool",
            "an ugly hat",
            "a one",
            "an umbrella",
        ];
        assert_eq!(phrases, wanted);
    }

    #[test]
    fn words_are_joined_and_capitalised() {
        assert_eq!(joined(&["a", "", "b"]), "a b");
        assert_eq!(capitalised("élan"), "Élan");
    }
}
