//! Simple English Wikipedia, `simple_wikipedia` in 2023 and `simple_wiki` in 2024: empty lines go.

/// Removes each pair of line ends, so that the paragraphs around it are glued together.
pub(super) fn clean(text: &str) -> String {
    text.replace("\n\n", "")
}

/// A place for a cut: not within empty lines, whose pairs are counted from the first line end.
pub(super) fn is_cut(text: &str, at: usize) -> bool {
    !text[..at].ends_with('\n')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn pairs_of_line_ends_vanish_from_the_left() {
        assert_eq!(
            clean("Cat\n\nA cat is  an animal .\n\n\nDog\n"),
            "CatA cat is  an animal .\nDog\n"
        );
        assert_eq!(clean("\n\n\n\n"), "");
    }
}
