//! What nouns denote, and what verbs and adjectives ask of them.

/// A set of kinds of things; a noun has exactly one, a verb selects any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// Both sets together.
    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether the sets share a kind.
    pub const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

pub const NOTHING: Kinds = Kinds(0);
/// People by trade, rank or age.
pub const PERSON: Kinds = Kinds(1);
/// People by their tie to someone else.
pub const KIN: Kinds = Kinds(1 << 1);
pub const ANIMAL: Kinds = Kinds(1 << 2);
pub const FOOD: Kinds = Kinds(1 << 3);
pub const DRINK: Kinds = Kinds(1 << 4);
pub const VESSEL: Kinds = Kinds(1 << 5);
pub const TOOL: Kinds = Kinds(1 << 6);
pub const TEXT: Kinds = Kinds(1 << 7);
pub const CLOTHING: Kinds = Kinds(1 << 8);
pub const VEHICLE: Kinds = Kinds(1 << 9);
pub const INSTRUMENT: Kinds = Kinds(1 << 10);
pub const PLANT: Kinds = Kinds(1 << 11);
pub const FURNITURE: Kinds = Kinds(1 << 12);
pub const TOY: Kinds = Kinds(1 << 13);
pub const TREASURE: Kinds = Kinds(1 << 14);
pub const BUILDING: Kinds = Kinds(1 << 15);
pub const OUTDOOR: Kinds = Kinds(1 << 16);
/// What is told, asked or thought.
pub const IDEA: Kinds = Kinds(1 << 17);
pub const MATERIAL: Kinds = Kinds(1 << 18);

pub const HUMAN: Kinds = PERSON.or(KIN);
pub const ANIMATE: Kinds = HUMAN.or(ANIMAL);
pub const PLACE: Kinds = BUILDING.or(OUTDOOR);
/// What a person can hold in the hands.
pub const SMALL: Kinds = VESSEL.or(TOOL).or(TEXT).or(CLOTHING).or(TOY).or(TREASURE);
pub const PORTABLE: Kinds = SMALL.or(FOOD).or(INSTRUMENT);
/// What does not live.
pub const OBJECT: Kinds = PORTABLE.or(VEHICLE).or(FURNITURE);
/// What the eye can see.
pub const VISIBLE: Kinds = OBJECT.or(ANIMATE).or(PLANT);
