//! Topics: the people, animals, things and places that turn up together.

/// What one scene is likely to hold; every word is a noun of the lexicon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    pub people: &'static str,
    pub animals: &'static str,
    pub things: &'static str,
    pub places: &'static str,
}

pub(crate) const THEMES: &[Theme] = &[
    Theme {
        people: "mother child cook girl boy grandmother guest baker",
        animals: "cat dog mouse",
        things: "cup plate spoon bowl cake egg table kettle pan pie knife apron pot soup bread \
         milk jam jug teapot potato onion",
        places: "kitchen house cottage bakery restaurant cellar",
    },
    Theme {
        people: "teacher boy girl student child librarian friend classmate",
        animals: "hamster bird turtle",
        things: "book pencil desk letter map notebook bag story question picture poem list \
         dictionary game mistake lesson",
        places: "school library classroom playground museum yard",
    },
    Theme {
        people: "farmer son daughter boy shepherd milkmaid neighbour miller",
        animals: "cow horse pig hen sheep goat duck goose donkey calf lamb dog pony ox",
        things: "cart bucket egg basket rope tractor shovel wagon barrel rake apple straw milk \
         wool sack ladder",
        places: "farm barn field stable yard meadow mill",
    },
    Theme {
        people: "sailor captain fisherman boy pilot traveller boatman cook lighthouse_keeper",
        animals: "fish seal whale dolphin turtle bird penguin",
        things: "boat ship net rope map lantern shell coin barrel telescope compass chest pearl \
         flute raft",
        places: "harbour beach island shore lighthouse cave inn cliff",
    },
    Theme {
        people: "king queen prince princess knight servant witch giant soldier magician",
        animals: "horse lion owl wolf eagle swan",
        things: "crown ring key mirror cloak jewel carriage candle secret promise riddle \
         necklace chest statue sack harp",
        places: "castle palace tower forest garden stable chapel",
    },
    Theme {
        people: "gardener woman neighbour child grandfather beekeeper painter",
        animals: "bee butterfly bird rabbit mole frog robin hedgehog spider",
        things: "flower tree rose seed spade bench basket apple carrot hedge cabbage honey \
         strawberry rake pumpkin leaf tulip",
        places: "garden orchard park greenhouse meadow lane",
    },
    Theme {
        people: "hunter child girl traveller grandmother thief beggar poet",
        animals: "fox wolf bear deer owl squirrel rabbit hedgehog badger crow beaver",
        things: "tree axe nut mushroom branch basket lantern stick wood boot cherry torch oak \
         rope fern",
        places: "forest cave path hill cabin stream",
    },
    Theme {
        people: "shopkeeper merchant woman thief lady policeman butcher baker tailor",
        animals: "dog parrot hen donkey monkey",
        things: "coin bag basket orange hat ring ribbon bread cheese lemon purse watch plum \
         scarf carpet pot vase sausage fig",
        places: "market shop street town square bank",
    },
    Theme {
        people: "singer dancer violinist actor actress teacher friend poet guest acrobat clown",
        animals: "bird dog elephant pony monkey",
        things: "piano violin song drum guitar flute ticket dress trumpet tune curtain mirror \
         puppet fiddle harp chair cello",
        places: "theatre school square hotel town church",
    },
    Theme {
        people: "driver traveller woman man policeman waiter pilot cousin mechanic lady",
        animals: "dog cat horse camel",
        things: "train bus car suitcase ticket map bicycle newspaper clock umbrella van taxi \
         sandwich wheel tram ferry",
        places: "station road town bridge hotel garage village",
    },
    Theme {
        people: "doctor nurse child man woman dentist daughter scientist",
        animals: "cat dog bird kitten",
        things: "bed bottle glass letter blanket lamp chair flower water soup pillow note book \
         coat clock tea",
        places: "hospital house office garden town",
    },
    Theme {
        people: "carpenter blacksmith potter weaver son man tailor cobbler watchmaker painter",
        animals: "dog cat horse spider",
        things: "hammer table chair saw nail wheel knife shoe bowl clock shelf wood clay iron \
         brush vase needle coat ladder",
        places: "workshop village shop house yard factory",
    },
    Theme {
        people: "boy girl child friend brother sister uncle cousin father",
        animals: "puppy kitten dog rabbit parrot",
        things: "ball doll kite puzzle game balloon swing block marble teddy_bear toy sock \
         biscuit bed cradle model",
        places: "garden house park playground attic beach",
    },
    Theme {
        people: "detective lady servant thief lawyer gentleman judge policeman colleague",
        animals: "cat dog crow parrot",
        things: "letter key box watch diary necklace door lamp glove secret report trunk clock \
         message drawer pearl medal knife",
        places: "house hotel museum bank office library street",
    },
    Theme {
        people: "child mother father postman traveller grandfather neighbour sister",
        animals: "bird fox deer penguin bear sheep",
        things: "coat sledge snow glove scarf boot blanket soup lantern hat cocoa shovel sweater \
         pie candle",
        places: "hill village lake cabin street field mountain",
    },
];
