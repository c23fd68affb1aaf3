//! Texts for tests: texts that could make two ways of encoding differ.

use base::rng::Rng;

/// Bits of text that mean something to a pattern, a normal form or an added token, alone or beside
/// each other.
const BITS: [&str; 64] = [
    "the",
    "The",
    " dog",
    "fox",
    "a",
    "l",
    "s",
    "e",
    "jumps",
    "over",
    "2023",
    "7",
    " ",
    " ",
    "  ",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "\x0B",
    "\x0C",
    "\x1C",
    "\x1F",
    "\0",
    "\x7F",
    "'",
    "'s",
    "'re",
    "'ll",
    "'LL",
    "'t",
    "'v",
    "’s",
    "\"",
    "!",
    "?!",
    ".",
    "...",
    "…",
    "—",
    "=",
    "_",
    "é",
    "e\u{301}",
    "\u{301}",
    "\u{327}\u{301}",
    "ﬁ",
    "²",
    "½",
    "Ⅳ",
    "٣",
    "中文",
    "가",
    "\u{1100}\u{1161}",
    "👩‍👩‍👧",
    "\u{A0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "\u{200B}",
    "<s>",
    "</s>",
];

/// Random successions of [`BITS`], from none to a few hundred, and some texts made by hand. Always
/// the same ones.
pub(super) fn texts() -> Vec<String> {
    let rng = Rng::new(7, "nasty texts");
    let random = (0..400).map(|index| {
        let rng = rng.at(index);
        let length = if index < 300 { rng.below(0, 12) } else { rng.below(0, 400) };
        (1..=length).map(|bit| BITS[rng.below(bit, BITS.len() as u64) as usize]).collect()
    });
    let by_hand = [
        "",
        "no line end",
        "<s",
        "＜s＞ is no token, <s></s><pad> are three, <<s>> has one",
        "we'll they're I'd it'S 'tis ' s 's",
        "ends in spaces   ",
        "x\n\n\n  \n y\n",
        "\u{301}begins with a mark",
        "accents alone \u{A8}x \u{A8}\n\u{A8} x\u{37A} y \u{37A}\nz \u{FC5E}a\u{FC5E} b",
        "один, два\nтри  четыре \n пять\n\n中文 字\n文\u{3000}字。\n\u{301}é\n<s> </s>\n",
        "a\u{301}\u{301}\u{327}b ≠=\u{338}<\u{338}",
    ];
    random.chain(by_hand.map(String::from)).collect()
}

/// The characters of all planes that have any but private ones, in order.
pub(super) fn all_characters() -> Vec<char> {
    ('\0'..='\u{323FF}').chain('\u{E0000}'..='\u{E0FFF}').chain(['\u{F0000}', char::MAX]).collect()
}
