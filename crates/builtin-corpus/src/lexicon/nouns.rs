//! Nouns by kind, the more frequent first. Plurals follow the spelling rules unless listed as
//! irregular.

use super::kinds::*;

/// Count nouns.
pub(super) const COUNT_NOUNS: &[(Kinds, &str)] = &[
    (
        PERSON,
        "man woman boy girl child person teacher doctor king farmer queen baker lady student \
         soldier nurse sailor cook princess painter gardener fisherman driver singer prince guest \
         dancer hunter thief tailor shopkeeper judge waiter pilot carpenter librarian actor \
         gentleman policeman shepherd merchant captain witch giant postman actress scientist poet \
         miller waitress lawyer butcher fireman servant clown blacksmith weaver detective \
         traveller knight beggar plumber potter dentist beekeeper magician watchmaker acrobat \
         cobbler mechanic astronomer boatman violinist milkmaid chemist barber lighthouse_keeper",
    ),
    (
        KIN,
        "mother friend brother father sister son daughter neighbour uncle wife aunt cousin \
         husband grandmother grandfather nephew niece colleague classmate guardian",
    ),
    (
        ANIMAL,
        "dog cat horse bird cow mouse fox pig hen rabbit wolf sheep bear duck goat goose frog \
         fish lion deer owl bee donkey tiger squirrel monkey elephant crow snake turtle puppy \
         kitten hedgehog otter calf lamb swan beaver parrot butterfly whale seal badger eagle \
         spider penguin robin camel hamster mole ox heron dolphin lizard pony magpie",
    ),
    (
        FOOD,
        "apple cake egg sandwich pie potato biscuit carrot tomato pear loaf banana onion sausage \
         pancake orange cherry mushroom plum strawberry lemon nut cabbage peach pudding bean \
         pumpkin tart dumpling turnip melon radish walnut fig",
    ),
    (
        VESSEL,
        "box cup bag basket bottle pot bowl plate glass jar bucket pan kettle barrel teapot \
         suitcase purse tray jug sack tin mug trunk vase crate chest",
    ),
    (
        TOOL,
        "knife spoon hammer rope brush broom ladder needle fork candle torch shovel umbrella axe \
         lantern pencil saw stick net comb nail rake compass telescope pen hook spade whistle \
         bell wheel",
    ),
    (
        TEXT,
        "book letter map newspaper poem note ticket diary list card magazine sign postcard \
         recipe dictionary notebook essay message report calendar",
    ),
    (
        CLOTHING,
        "hat coat shoe dress shirt boot scarf glove sock cloak apron jacket sweater ribbon belt \
         skirt blanket uniform button bonnet",
    ),
    (
        VEHICLE,
        "car boat bus train ship bicycle cart truck wagon taxi sledge tractor van ferry carriage \
         tram canoe scooter lorry raft",
    ),
    (
        INSTRUMENT,
        "piano drum violin guitar flute trumpet harp bell fiddle cello horn accordion banjo \
         clarinet",
    ),
    (
        PLANT,
        "tree flower rose bush oak apple_tree daisy tulip branch leaf vine fern willow pine \
         sunflower seed lily cactus hedge birch",
    ),
    (
        FURNITURE,
        "table chair bed clock lamp door window mirror desk shelf sofa bench cupboard stool \
         picture carpet curtain drawer pillow cradle wardrobe",
    ),
    (
        TOY,
        "ball doll kite puzzle puppet balloon toy marble top block drum_kit rattle teddy_bear \
         model swing",
    ),
    (
        TREASURE,
        "key ring coin crown necklace jewel medal pearl watch brooch statue feather shell stamp \
         bracelet locket",
    ),
    (
        BUILDING,
        "house school kitchen shop church hospital castle library station barn tower garage \
         palace museum theatre cottage stable bakery hotel mill cellar attic office inn bank \
         factory workshop lighthouse tent cabin restaurant café classroom greenhouse chapel",
    ),
    (
        OUTDOOR,
        "garden forest river field road village park hill beach street town market lake bridge \
         mountain farm island harbour meadow valley cave yard orchard pond path square desert \
         cliff stream shore lane canal playground swamp",
    ),
    (
        IDEA,
        "story song question idea plan secret problem answer joke dream promise rule game \
         mistake lesson riddle tune adventure prayer trick rumour argument theory",
    ),
];

/// Nouns without a plural.
pub(super) const MASS_NOUNS: &[(Kinds, &str)] = &[
    (
        FOOD,
        "bread soup cheese cake rice butter honey jam meat chocolate porridge salad sugar salt \
         stew pasta toast flour",
    ),
    (DRINK, "water milk tea coffee juice lemonade wine cocoa cider"),
    (
        MATERIAL,
        "wood wool paper gold silver snow sand clay straw glass iron silk coal leather cotton \
         paint stone",
    ),
];

/// Plurals that the rules do not give: `singular plural` in turn.
pub(super) const IRREGULAR_PLURALS: &[(&str, &str)] = &[
    ("man", "men"),
    ("woman", "women"),
    ("child", "children"),
    ("person", "people"),
    ("fisherman", "fishermen"),
    ("gentleman", "gentlemen"),
    ("policeman", "policemen"),
    ("postman", "postmen"),
    ("fireman", "firemen"),
    ("boatman", "boatmen"),
    ("mouse", "mice"),
    ("goose", "geese"),
    ("ox", "oxen"),
    ("wolf", "wolves"),
    ("calf", "calves"),
    ("thief", "thieves"),
    ("wife", "wives"),
    ("knife", "knives"),
    ("loaf", "loaves"),
    ("leaf", "leaves"),
    ("shelf", "shelves"),
    ("sheep", "sheep"),
    ("deer", "deer"),
    ("fish", "fish"),
    ("scarf", "scarves"),
    ("potato", "potatoes"),
    ("tomato", "tomatoes"),
    ("cactus", "cacti"),
];

/// Persons whom the word itself makes masculine.
pub(super) const MASCULINE: &str = "man boy king fisherman prince gentleman policeman postman \
 waiter actor fireman boatman brother father son uncle husband grandfather nephew knight";

/// Persons whom the word itself makes feminine.
pub(super) const FEMININE: &str = "woman girl queen lady princess actress waitress witch \
 milkmaid mother sister daughter wife aunt grandmother niece";
