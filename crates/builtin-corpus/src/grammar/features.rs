//! Person, number and gender, and the pronouns that show them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Person {
    First,
    Second,
    Third,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Singular,
    Plural,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gender {
    Masculine,
    Feminine,
    Neuter,
    /// Not told, as of `nobody` or `who`: "nobody lost their hat".
    Unknown,
}

/// What a subject hands to its verb and an antecedent to its pronoun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub person: Person,
    pub number: Number,
    pub gender: Gender,
}

/// The role of a pronoun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Subject,
    Object,
    Possessive,
    Reflexive,
}

impl Agreement {
    /// Third person.
    pub(crate) const fn third(number: Number, gender: Gender) -> Self {
        Self { person: Person::Third, number, gender }
    }

    pub(crate) fn plural(self) -> bool {
        self.number == Number::Plural
    }

    /// The pronoun with these features.
    pub(crate) fn pronoun(self, case: Case) -> &'static str {
        use {Gender::*, Number::*, Person::*};
        let row = match (self.person, self.number, self.gender) {
            (First, Singular, _) => ["I", "me", "my", "myself"],
            (First, Plural, _) => ["we", "us", "our", "ourselves"],
            (Second, Singular, _) => ["you", "you", "your", "yourself"],
            (Second, Plural, _) => ["you", "you", "your", "yourselves"],
            (Third, Plural, _) | (Third, Singular, Unknown) => {
                ["they", "them", "their", "themselves"]
            }
            (Third, Singular, Masculine) => ["he", "him", "his", "himself"],
            (Third, Singular, Feminine) => ["she", "her", "her", "herself"],
            (Third, Singular, Neuter) => ["it", "it", "its", "itself"],
        };
        row[case as usize]
    }
}
