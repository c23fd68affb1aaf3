//! Adjectives by what they describe, adverbs, times and places, the more frequent first.

use super::kinds::*;

/// Adjectives that stand before a noun.
pub(crate) const ADJECTIVES: &[(Kinds, &str)] = &[
    (
        HUMAN,
        "old young good little tall kind poor clever brave happy famous quiet strange rich \
         friendly angry honest tired careful busy proud lazy gentle foolish polite wise lonely \
         cheerful shy stubborn curious patient serious rude nervous generous elegant cautious \
         absent-minded",
    ),
    (
        ANIMAL,
        "little big black white old brown young wild grey hungry clever fat fast spotted \
         friendly lazy noisy quiet frightened tame fierce shy tiny curious sleepy striped gentle \
         lame greedy",
    ),
    (
        FOOD.or(DRINK),
        "fresh good hot sweet warm cold delicious ripe sour burnt stale tasty spicy rotten \
         bitter creamy",
    ),
    (
        VESSEL.or(TOOL).or(FURNITURE).or(INSTRUMENT),
        "old new small heavy big wooden broken strange empty beautiful useful plain rusty silver \
         expensive dusty cheap hidden stolen light ugly cracked copper polished",
    ),
    (
        TOY.or(TREASURE).or(CLOTHING),
        "new old red beautiful little blue golden green lost pretty white yellow torn tiny \
         expensive stolen dirty purple forgotten striped shiny worn fine strange faded",
    ),
    (
        TEXT,
        "old long new short interesting secret important strange funny boring torn hidden \
         forgotten famous curious dull",
    ),
    (
        VEHICLE,
        "new old fast red slow blue big broken yellow green expensive stolen noisy rusty crowded \
         empty shaky",
    ),
    (
        PLANT,
        "tall old green young beautiful little wild dead fallen frozen withered rare thorny \
         crooked",
    ),
    (
        BUILDING,
        "old new big small empty dark large little beautiful quiet busy cold famous modern \
         abandoned crowded narrow",
    ),
    (
        OUTDOOR,
        "long quiet small dark beautiful green wide busy narrow deep cold dusty empty frozen \
         steep peaceful lonely",
    ),
    (
        IDEA,
        "good old funny strange new clever long simple sad important difficult silly bad \
         wonderful stupid brilliant",
    ),
    (MATERIAL, "fine white cheap wet soft dry clean cold heavy"),
];

/// Participles of irregular verbs used as adjectives, with the past tense that does not serve as
/// one.
pub(crate) const PARTICIPLE_ADJECTIVES: &[(&str, &str)] = &[
    ("broken", "broke"),
    ("hidden", "hid"),
    ("stolen", "stole"),
    ("torn", "tore"),
    ("forgotten", "forgot"),
    ("worn", "wore"),
    ("fallen", "fell"),
    ("frozen", "froze"),
];

/// States of people and animals, only after a linking verb.
pub(crate) const STATES: &[&str] = &[
    "happy",
    "tired",
    "hungry",
    "sad",
    "angry",
    "afraid",
    "ready",
    "late",
    "cold",
    "asleep",
    "alone",
    "thirsty",
    "ill",
    "busy",
    "glad",
    "excited",
    "worried",
    "bored",
    "sleepy",
    "safe",
    "proud",
    "surprised",
    "nervous",
    "lost",
    "jealous",
    "calm",
    "awake",
    "ashamed",
    "hopeful",
    "confused",
];

/// States that are a reason for almost anything.
pub(crate) const REASONS: &[&str] = &[
    "tired",
    "hungry",
    "late",
    "bored",
    "afraid",
    "angry",
    "curious",
    "cold",
    "lonely",
    "in a hurry",
    "thirsty",
    "worried",
    "happy",
    "jealous",
    "too excited",
];

/// How an act is done.
pub(crate) const MANNERS: &[&str] = &[
    "quickly",
    "slowly",
    "quietly",
    "carefully",
    "happily",
    "suddenly",
    "silently",
    "gently",
    "sadly",
    "angrily",
    "politely",
    "proudly",
    "eagerly",
    "patiently",
    "nervously",
    "secretly",
    "calmly",
    "bravely",
    "cheerfully",
    "reluctantly",
    "impatiently",
    "clumsily",
    "lazily",
    "anxiously",
];

/// How often, before the main verb.
pub(crate) const FREQUENCIES: &[&str] = &[
    "often",
    "always",
    "never",
    "sometimes",
    "usually",
    "rarely",
    "already",
    "probably",
    "certainly",
    "clearly",
    "really",
    "also",
];

pub(crate) const PAST_TIMES: &[&str] = &[
    "yesterday",
    "last night",
    "that morning",
    "in the evening",
    "last week",
    "that afternoon",
    "after lunch",
    "at noon",
    "last summer",
    "in the morning",
    "on Sunday",
    "before dinner",
    "at midnight",
    "that day",
    "last winter",
    "on Monday",
    "a long time ago",
    "two days later",
    "on Friday",
    "in the autumn",
    "during the storm",
    "at dawn",
];

pub(crate) const PRESENT_TIMES: &[&str] = &[
    "now",
    "every day",
    "today",
    "in the morning",
    "at night",
    "in the summer",
    "on Sundays",
    "every week",
    "in the winter",
    "all the time",
    "after school",
    "in the evenings",
    "once a year",
    "most days",
];

pub(crate) const FUTURE_TIMES: &[&str] = &[
    "tomorrow",
    "soon",
    "tonight",
    "next week",
    "later",
    "on Saturday",
    "after dinner",
    "next year",
    "this afternoon",
    "in an hour",
    "before Christmas",
];

/// Small numbers, from two up.
pub(crate) const NUMBERS: &[&str] = &[
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "eleven",
    "twenty",
];

/// Where a small thing can be: a preposition and the nouns it goes with.
pub(crate) const SPOTS: &[(&str, &str)] = &[
    ("on", "table chair bed desk shelf bench sofa stool carpet cupboard"),
    (
        "in",
        "box bag basket drawer pot cupboard bucket chest jar suitcase sack trunk bowl wardrobe \
         barrel tin crate",
    ),
    ("under", "table bed chair carpet pillow bench stool tree sofa hat"),
    ("behind", "door curtain mirror clock tree sofa picture cupboard hedge"),
    ("next to", "lamp clock window door bed vase piano tree"),
];
