//! What nouns denote, and what verbs and adjectives ask of them.

/// A set of kinds of things; a noun has exactly one, a verb selects any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u32);

impl Kinds {
    /// Both sets together.
    pub(crate) const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether the sets share a kind.
    pub(crate) const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

pub(crate) const NOTHING: Kinds = Kinds(0);
/// People by trade, rank or age.
pub(crate) const PERSON: Kinds = Kinds(1);
/// People by their tie to someone else.
pub(crate) const KIN: Kinds = Kinds(1 << 1);
pub(crate) const ANIMAL: Kinds = Kinds(1 << 2);
pub(crate) const FOOD: Kinds = Kinds(1 << 3);
pub(crate) const DRINK: Kinds = Kinds(1 << 4);
pub(crate) const VESSEL: Kinds = Kinds(1 << 5);
pub(crate) const TOOL: Kinds = Kinds(1 << 6);
pub(crate) const TEXT: Kinds = Kinds(1 << 7);
pub(crate) const CLOTHING: Kinds = Kinds(1 << 8);
pub(crate) const VEHICLE: Kinds = Kinds(1 << 9);
pub(crate) const INSTRUMENT: Kinds = Kinds(1 << 10);
pub(crate) const PLANT: Kinds = Kinds(1 << 11);
pub(crate) const FURNITURE: Kinds = Kinds(1 << 12);
pub(crate) const TOY: Kinds = Kinds(1 << 13);
pub(crate) const TREASURE: Kinds = Kinds(1 << 14);
pub(crate) const BUILDING: Kinds = Kinds(1 << 15);
pub(crate) const OUTDOOR: Kinds = Kinds(1 << 16);
/// What is told, asked or thought.
pub(crate) const IDEA: Kinds = Kinds(1 << 17);
pub(crate) const MATERIAL: Kinds = Kinds(1 << 18);

pub(crate) const HUMAN: Kinds = PERSON.or(KIN);
pub(crate) const ANIMATE: Kinds = HUMAN.or(ANIMAL);
pub(crate) const PLACE: Kinds = BUILDING.or(OUTDOOR);
/// What a person can hold in the hands.
pub(crate) const SMALL: Kinds = VESSEL.or(TOOL).or(TEXT).or(CLOTHING).or(TOY).or(TREASURE);
pub(crate) const PORTABLE: Kinds = SMALL.or(FOOD).or(INSTRUMENT);
/// What does not live.
pub(crate) const OBJECT: Kinds = PORTABLE.or(VEHICLE).or(FURNITURE);
/// What the eye can see.
pub(crate) const VISIBLE: Kinds = OBJECT.or(ANIMATE).or(PLANT);
