//! One look for all figures: size, colors, fonts, and how long a name may be.

use crate::format::in_one_line;

/// Width of a figure, in CSS pixels (1/96 inch): the text width of a paper.
pub(crate) const WIDTH: f64 = 640.0;
/// Height of a figure with one panel.
pub(crate) const HEIGHT: f64 = 380.0;
/// Size of numbers and names, in pixels.
pub(crate) const SMALL: f64 = 11.0;
/// Size of titles of axes.
pub(crate) const NORMAL: f64 = 12.0;
/// Most entries of a legend beside a frame.
pub(crate) const LEGEND: usize = 14;
/// Most entries of a legend below a frame.
pub(crate) const MOST_NAMES: usize = 60;
/// Widest name beside an axis, in pixels.
pub(crate) const BESIDE: f64 = 180.0;

/// A color with its opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ink {
    /// Red, green and blue.
    pub(crate) color: (u8, u8, u8),
    /// From 0 to 1.
    pub(crate) opacity: f64,
}

/// Stands for the page's own color of text; no figure uses it as a color.
pub(crate) const PAGE_COLOR: (u8, u8, u8) = (1, 2, 3);

/// The colors of Okabe and Ito (Color Universal Design, 2008), which people with any color vision
/// tell apart; their black is the page's own color, and the yellow, faint on paper, is left out.
/// Behind them five more that can be seen on light and on dark pages.
const PALETTE: [(u8, u8, u8); 12] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    PAGE_COLOR,
    (117, 112, 179),
    (153, 153, 51),
    (140, 86, 75),
    (136, 136, 136),
    (170, 51, 85),
];

/// From the best to the worst: colors of the palette that can be seen on light and on dark pages.
const RAMP: [(u8, u8, u8); 4] = [(0, 114, 178), (0, 158, 115), (230, 159, 0), (213, 94, 0)];

impl Ink {
    /// Text and axes.
    pub(crate) const TEXT: Self = Self { color: PAGE_COLOR, opacity: 1.0 };
    /// Lines behind the data.
    pub(crate) const GRID: Self = Self { color: PAGE_COLOR, opacity: 0.15 };
    /// What is less important than the rest.
    pub(crate) const FAINT: Self = Self { color: PAGE_COLOR, opacity: 0.45 };

    /// The color of a series; colors come again after the last.
    pub(crate) fn of_series(index: usize) -> Self {
        Self { color: PALETTE[index % PALETTE.len()], opacity: 1.0 }
    }

    /// How often the colors have come before that of a series.
    pub(crate) fn cycle(index: usize) -> usize {
        index / PALETTE.len()
    }

    /// The color as CSS has it; `None` for the page's own.
    pub(crate) fn to_css(self) -> Option<String> {
        let (red, green, blue) = self.color;
        (self.color != PAGE_COLOR).then(|| format!("#{red:02x}{green:02x}{blue:02x}"))
    }

    /// The color of a share from 0 (best) to 1 (worst).
    pub(crate) fn of_share(share: f64) -> Self {
        let place = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
        let index = (place as usize).min(RAMP.len() - 2);
        let part = place - index as f64;
        let mix =
            |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
        let (a, b) = (RAMP[index], RAMP[index + 1]);
        Self { color: (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2)), opacity: 1.0 }
    }

    /// The color with another opacity.
    pub(crate) fn faded(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }
}

/// A name without characters that would change what is around it, cut in its middle to about
/// `pixels` pixels in a font of a size.
pub(crate) fn fitted(name: &str, pixels: f64, size: f64) -> String {
    // No letter is narrower than this.
    let mut longest = (pixels / (0.32 * size)).max(3.0) as usize;
    loop {
        let short = shortened(name, longest);
        if longest <= 3 || text_width(&short, size) <= pixels {
            return short;
        }
        longest -= 1;
    }
}

/// A name in one line, cut in its middle to `longest` characters.
fn shortened(name: &str, longest: usize) -> String {
    let name = in_one_line(name);
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= longest {
        return name;
    }
    let head = (longest - 1).div_ceil(2);
    let tail = letters.len() - (longest - 1 - head);
    letters[..head].iter().chain(['…'].iter()).chain(&letters[tail..]).collect()
}

/// About how wide a text is in a sans-serif font of a size.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let of_letter = |letter: char| match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.32,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.41,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.97,
        'A'..='Z' => 0.70,
        letter if letter as u32 >= 0x1100 => 1.05,
        _ => 0.62,
    };
    size * text.chars().map(of_letter).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("babyllama", 24), "babyllama");
        assert_eq!(shortened("0123456789", 5), "01…89");
        assert_eq!(shortened("a\u{202e}b\n", 24), "a\\u{202e}b\\n");
        for name in ["iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii", "WWWWWWWWWWWWWWWW", "漢字漢字漢字漢字漢字"]
        {
            let short = fitted(name, 70.0, 11.0);
            assert!(text_width(&short, 11.0) <= 70.0 && short.contains('…'), "{short}");
        }
        assert_eq!(fitted("abcdef", 0.0, 11.0), "a…f");
    }

    #[test]
    fn shares_have_the_ends_and_the_middle_of_the_ramp() {
        assert_eq!(Ink::of_share(-3.0).color, RAMP[0]);
        assert_eq!(Ink::of_share(2.0).color, RAMP[3]);
        assert_eq!(Ink::of_share(0.5).color, (115, 159, 58));
    }
}
