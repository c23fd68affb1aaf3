//! What transcripts and digital editions do to text, for the cleaners to mend.

use crate::draw::Draw;

/// A space before every mark: "look at that ."
pub(super) fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 8);
    let letters: Vec<char> = text.chars().collect();
    for (position, &letter) in letters.iter().enumerate() {
        let inside = letters.get(position + 1).is_some_and(|next| next.is_alphanumeric());
        if ".,;:!?".contains(letter) && !inside && !spaced.ends_with([' ', '.']) {
            spaced.push(' ');
        }
        spaced.push(letter);
    }
    spaced
}

/// Clitics split from their words: "do n't", "king 's".
pub(super) fn split_clitics(text: &str) -> String {
    let mut split = text.replace("can't", "ca n't").replace("won't", "wo n't");
    for clitic in ["n't", "'s", "'m", "'re", "'ve", "'ll", "'d"] {
        split = split.replace(&format!(" {clitic}"), clitic).replace(clitic, &format!(" {clitic}"));
    }
    split.replace("s' ", "s ' ")
}

/// Straight double quotes as an opening and a closing sign in turn.
pub(super) fn quoted(text: &str, opening: &str, closing: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    for (position, piece) in text.split('"').enumerate() {
        if position > 0 {
            quoted.push_str(if position % 2 == 1 { opening } else { closing });
        }
        quoted.push_str(piece);
    }
    quoted
}

/// Lines of at most `width` characters, broken between words.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + 8);
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

/// All in upper case, every I read as an l by the machine that scanned it.
pub(super) fn shouted(text: &str) -> String {
    text.to_uppercase().replace('I', "l")
}

/// Some spaces doubled, and some put before a mark.
pub(super) fn loosely_spaced(draw: &mut Draw, text: &str) -> String {
    let mut loose = String::with_capacity(text.len() + 8);
    for word in text.split_inclusive(' ') {
        let stem = word.trim_end_matches(' ');
        match stem.char_indices().last() {
            Some((end, mark)) if ".,?!".contains(mark) && draw.chance(7) => {
                loose.push_str(&stem[..end]);
                loose.push(' ');
                loose.push(mark);
            }
            _ => loose.push_str(stem),
        }
        if word.len() > stem.len() {
            loose.push_str(if draw.chance(3) { "  " } else { " " });
        }
    }
    loose
}

/// Hesitation: fillers, words said twice, words broken off.
pub(super) fn hesitant(draw: &mut Draw, text: &str, fillers: &[&str], percent: usize) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut said: Vec<String> = Vec::with_capacity(words.len() + 4);
    for (position, &word) in words.iter().enumerate() {
        let plain = word.len() > 1 && word.chars().all(char::is_lowercase);
        if position > 0 && plain && draw.chance(percent) {
            match draw.below(4) {
                0 | 1 => said.push(draw.zipf(fillers).to_string()),
                2 if word.len() < 5 => said.push(format!("{word},")),
                _ => said.push(word.chars().take(2).chain(['-']).collect()),
            }
        }
        said.push(word.to_string());
    }
    said.join(" ")
}

/// Now and then a slip of the keyboard: two letters of a word change places.
pub(super) fn mistyped(draw: &mut Draw, text: &str, per_mille: usize) -> String {
    let slip = |word: &str, draw: &mut Draw| {
        let mut letters: Vec<char> = word.chars().collect();
        if letters.len() > 4
            && letters.iter().all(|letter| letter.is_lowercase())
            && draw.below(1000) < per_mille
        {
            let place = draw.between(1, letters.len() - 3);
            letters.swap(place, place + 1);
        }
        letters.into_iter().collect::<String>()
    };
    text.split(' ').map(|word| slip(word, draw)).collect::<Vec<_>>().join(" ")
}

/// The sentence with a small first letter, where its first word is not a name.
pub(super) fn uncapitalised(sentence: &str) -> String {
    const SMALL: &str = "the a an he she it they there some two then but so this that no nobody \
     every after before most many soon suddenly at only all few when because three do does did is \
     are was were have has had can could would will what where who why which whose how shall \
     please don let you really we yes not each both several one of meanwhile here";
    let first = sentence.split([' ', ',', '\'']).next().unwrap_or_default().to_lowercase();
    match SMALL.split_whitespace().any(|small| small == first) {
        true => format!("{first}{}", &sentence[first.len()..]),
        false => sentence.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::rng::Rng;

    #[test]
    fn quirks_look_as_they_should() {
        assert_eq!(spaced("Yes, it's 3.5. Really?"), "Yes , it's 3.5 . Really ?");
        assert_eq!(
            split_clitics("I don't like the king's hat, and she can't"),
            "I do n't like the king 's hat, and she ca n't"
        );
        assert_eq!(quoted("\"No,\" said he. \"Go!\"", "` ", " '"), "` No, ' said he. ` Go! '");
        assert_eq!(wrapped("one two three four", 9), "one two\nthree\nfour");
        assert_eq!(shouted("It is big"), "lT lS BlG");
    }

    #[test]
    fn names_keep_their_capital() {
        assert_eq!(uncapitalised("The dog ran."), "the dog ran.");
        assert_eq!(uncapitalised("No, it didn't."), "no, it didn't.");
        assert_eq!(uncapitalised("Mr. Ashley ran."), "Mr. Ashley ran.");
        assert_eq!(uncapitalised("I ran."), "I ran.");
    }

    #[test]
    fn noise_keeps_the_words_in_order() {
        let mut draw = Draw::new(Rng::new(1, "test"));
        let text =
            "the little dog chased the ball because it was very happy , and so on .".repeat(20);
        let loose = loosely_spaced(&mut draw, &text);
        assert!(loose.contains("  "));
        let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(words(&loose), words(&text));
        assert_ne!(mistyped(&mut draw, &text, 200), text);
        assert!(hesitant(&mut draw, &text, &["er"], 30).contains(" er "));
    }
}
