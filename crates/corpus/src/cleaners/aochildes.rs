//! CHILDES (speech to children), `aochildes` in 2023 and `childes` in 2024: blanks before
//! punctuation go.

pub(super) use super::blanks::is_cut;
use super::blanks::remove_extra_blanks;

/// Removes extra blanks.
pub(super) fn clean(text: &str) -> String {
    remove_extra_blanks(text)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn blanks_go_and_empty_lines_stay() {
        assert_eq!(
            clean("*MOT:\tyou want milk ?\n\nwhat 's that ?\n"),
            "*MOT: you want milk?\n\nwhat 's that?\n"
        );
    }
}
