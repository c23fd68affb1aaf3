//! First names, and the pieces of which surnames and places are made.

pub(crate) const FEMININE_NAMES: &str = "Mary Anna Emma Lucy Rosa Alice Sarah Jane Nora Clara \
 Ruth Ella Sophie Grace Helen Kate Julia Maria Lily Martha Eva Laura Amy Molly Hannah Susan Beth \
 Daisy Edith Olive Flora Agnes Ida Nina Irene Mabel Sylvia Greta Petra Zoe Tessa Bridget Harriet \
 Lena Miriam Winifred Beatrice Ingrid Dorothea Yasmin Leila Philippa Matilda Rosalind Ottilie \
 Priya Noor Xenia";

pub(crate) const MASCULINE_NAMES: &str = "John Tom Peter James Henry David Jack William Sam \
 George Paul Max Ben Robert Charlie Daniel Oliver Arthur Martin Joe Simon Frank Hugo Adam Felix \
 Walter Leo Oscar Edward Philip Ralph Victor Albert Theo Ned Conrad Ivan Gilbert Rupert Anton \
 Jasper Bruno Stanley Omar Magnus Hector Silas Ambrose Laurence Emil Barnaby Rafael Cyril Tobias \
 Kenji Idris Leopold Casimir";

/// First halves of made-up surnames and places.
pub(crate) const NAME_STARTS: &str = "Ash Brad Kel Hart Win Stan Mor Lang Whit Thorn El Red \
 Marsh Holm Cald Fen Rad Oak Wex Bur Lin Har Fair Ald Pen Strat Cross Gil Brox Dun Hazel Tarn \
 Quen Ux Yar";

/// Second halves of surnames.
pub(crate) const SURNAME_ENDS: &str =
    "ford ley man well son wood combe field worth ham er kins ridge smith ington by bury ett low";

/// Second halves of towns.
pub(crate) const TOWN_ENDS: &str =
    "ton bridge ford ham port bury mouth wick field ley stead haven minster dale";

pub(crate) const RIVERS: &str =
    "Ard Tamel Brin Ousel Wend Lorne Calder Isk Marl Severell Dove Nidd Teal Yarrow";

pub(crate) const COUNTIES: &str =
    "Morland Eastshire Westmark Northdale Lowmoor Ambria Hallowshire Fenland Corvale";

pub(crate) const PROFESSIONS: &[&str] = &[
    "painter",
    "poet",
    "politician",
    "engineer",
    "singer",
    "scientist",
    "teacher",
    "sailor",
    "doctor",
    "writer",
    "actor",
    "astronomer",
    "composer",
    "chemist",
    "explorer",
    "judge",
    "architect",
    "botanist",
    "footballer",
    "historian",
];

pub(crate) const TOWN_FAME: &[&str] = &[
    "its old market",
    "its cheese",
    "its three bridges",
    "its stone church",
    "its clock tower",
    "its gardens",
    "its wool",
    "its harbour",
    "its silver mines",
    "its glass",
    "its apple orchards",
    "its school of music",
    "its paper mills",
    "its salt",
    "its violins",
    "its winter fair",
    "its boats",
    "its pottery",
];

/// Buildings that a town has one or more of.
pub(crate) const CIVIC_BUILDINGS: &[&str] = &[
    "school", "church", "library", "hospital", "museum", "station", "theatre", "castle", "inn",
    "bakery", "bank", "mill", "hotel", "factory", "chapel",
];
