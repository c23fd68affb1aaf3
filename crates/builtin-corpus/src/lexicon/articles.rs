//! Sentences of articles, as templates: groups in order, and in each group several ways to say
//! something. `{name}` stands for what the article fills in.

/// Alternatives in order.
pub(crate) type Outline = &'static [&'static [&'static str]];

pub(crate) const TOWN: Outline = &[
    &[
        "{name} is a {kind} in {county}",
        "{name} is a {kind} on the River {river} in {county}",
        "{name} is one of the oldest {kind}s in {county}",
        "{name} is a {kind} near {near}",
        "{name} is a {kind} between {near} and the River {river}",
    ],
    &[
        "it lies on the River {river}, not far from {near}",
        "the River {river} runs through the middle of the {kind}",
        "the nearest {kind} is {near}",
        "a narrow road joins it to {near}",
        "it is {few} miles from {near}",
    ],
    &[
        "about {population} people live there",
        "it has a population of {population}",
        "in {year}, {population} people lived in {name}",
        "there are {population} people in {name}, and most of them work in {near}",
    ],
    &[
        "the {kind} was founded in {founded}",
        "people have lived there since {founded}",
        "its oldest house was built in {founded}",
        "nobody knows who lived there before {founded}",
    ],
    &[
        "it is known for {fame}",
        "many visitors come to see {fame}",
        "{name} has always been proud of {fame}",
        "{fame} made the {kind} rich",
        "people from all over {county} talk about {fame}",
    ],
    &["{chronicle}"],
    &[
        "there are {few} schools and {count} churches in the {kind}",
        "the {kind} has {count} schools, {few} churches and a {building}",
        "the {building} was closed in {year}",
        "the old {building} is now a {other_building}",
        "the {building} and the {other_building} stand next to each other",
    ],
    &[
        "no other {kind} in {county} has ever had so many visitors",
        "few {kind}s in {county} are as quiet as {name}",
        "it is the only {kind} in {county} that has ever had two {buildings}",
        "no {kind} near it has more than {count} {buildings}",
    ],
    &[
        "the mayor of {name} is {person}",
        "{person} was the first mayor of {name}",
        "every summer, the people of {name} meet at the {building}",
        "in the winter, the river often freezes",
        "the children of {name} go to school in {near}",
        "most of its people are farmers",
    ],
    &[
        "the {profession} {figure} was born there in {born}",
        "the {profession} {figure} came from {name}",
        "a street in {name} is named after {figure}",
    ],
    &["{later_chronicle}"],
];

pub(crate) const FIGURE: Outline = &[
    &[
        "{name} ({born} – {died}) was {profession} from {county}",
        "{name}, who was born in {born}, was {profession}",
        "{name} ({born} – {died}) was the best known {bare_profession} of {county}",
        "{name} was {profession} who lived in {town} until {died}",
    ],
    &[
        "{they} was born in {town} in {born}",
        "{they} grew up in {town}, near the River {river}",
        "{they} spent the first years of {their} life in {town}",
    ],
    &[
        "{their} {parent} was {parents_trade}",
        "{their} {parent}, {parents_trade}, did not want {them} to become {profession}",
        "{they} was the youngest of {children} children",
        "{they} lost {their} {parent} when {they} was {few}",
    ],
    &[
        "{their} {sibling} and {their} {parent} taught {them} to read",
        "{they} taught {self} everything {they} knew",
        "{they} never went to school",
        "{they} went to school in {place}, where {they} was often ill",
    ],
    &[
        "when {they} was young, {they} moved to {place}",
        "in {early}, {they} moved to {place}",
        "{they} left {town} because there was no work",
        "{they} travelled to {place} and stayed there for {few} years",
    ],
    &[
        "{they} is best known for \"{work}\"",
        "{their} best work, \"{work}\", was finished in {middle}",
        "in {middle}, {they} became famous for \"{work}\"",
        "only \"{work}\" is still known today",
        "many people have tried to find the first copy of \"{work}\"",
    ],
    &[
        "{they} wrote about the day in {middle} when {happening}",
        "{they} always told {their} children how {happening}",
    ],
    &[
        "{their} {spouse} was {spouses_trade} from the same town, and they had {children} children",
        "{they} was married to {spouses_trade}",
        "{they} never married",
        "{their} {spouse} helped {them} with {their} work",
    ],
    &[
        "{they} never wrote any {papers}",
        "{they} hid {self} in {place} during the war",
        "{they} did not like {self} in pictures",
        "{they} wrote more than {count} {papers}",
        "{they} thought that nobody had ever understood \"{work}\"",
    ],
    &[
        "{they} died in {place} in {died}",
        "{they} died in {died}, and was buried in {town}",
        "when {they} died in {died}, {they} was almost forgotten",
    ],
    &[
        "only {their} {sibling} ever knew {them} well",
        "a school in {town} is named after {them}",
        "the house where {they} worked is now a museum",
        "some of {their} {papers} are kept in {place}",
    ],
];

pub(crate) const ANIMAL: Outline = &[
    &[
        "{a_name} is {class} that lives {home}",
        "{names} are animals that live {home}",
        "{a_name} is {class}",
        "{names} live {home}",
    ],
    &[
        "{names} eat {food}",
        "their food is {food}",
        "{a_name} eats {food}",
        "most {names} eat nothing but {food}",
    ],
    &[
        "most {names} {first_habit}",
        "{names} {first_habit}",
        "everybody knows that {names} {first_habit}",
    ],
    &[
        "they {second_habit}",
        "they also {second_habit}",
        "few people know that they {second_habit}",
    ],
    &[
        "a young {name} stays with its mother for {count} months",
        "every {name} knows its own mother",
        "young {names} learn to find food by {self}",
        "a mother {name} never leaves her young alone",
    ],
    &[
        "there are more than {count} kinds of {names}",
        "at least {count} kinds of {names} are known",
        "no {name} has ever lived longer than {age} years",
        "{names} can live for {age} years",
    ],
    &[
        "{names} wash {self} every day",
        "{names} hide {self} when they hear people",
        "{a_name} can hear a person from far away",
        "{names} are not often seen in towns",
    ],
    &[
        "people have told stories about {names} for a very long time",
        "in {county}, there were once many {names}",
        "there is a famous song about {a_name} and a {other}",
        "nobody in {town} has ever seen {a_name}",
        "some people keep {names}, but it is not easy",
    ],
    &["{chronicle}"],
];

pub(crate) const THING: Outline = &[
    &[
        "{a_name} is {genus} that people use to {purpose}",
        "{a_name} is {genus}",
        "people use {names} to {purpose}",
    ],
    &[
        "the first {names} were made more than {count} hundred years ago",
        "nobody knows who made the first {name}",
        "the oldest {name} in the country was found in {year}",
        "there were no {names} in {county} before {year}",
    ],
    &[
        "{a_name} can be made of {material} or {other_material}",
        "most {names} are made of {material}",
        "{names} are seldom made of {material} today",
        "the best {names} were made in {town}",
    ],
    &[
        "most {names} are sold in small shops",
        "{a_name} costs more than a {other}",
        "a good {name} lasts for at least {count} years",
        "{names} are often given as presents",
    ],
    &[
        "before there were any {names}, it was much harder to {purpose}",
        "without {a_name}, nobody can {purpose}",
        "it is not easy to {purpose} without {a_name}",
        "there is a very old {name} in the museum of {town}",
    ],
    &[
        "the {name} of {person} is kept in a museum in {town}",
        "{a_name} should always be kept in a dry place",
        "in stories, {a_name} often brings luck",
        "{person} collected more than {age} {names}",
    ],
    &["{chronicle}"],
];

pub(crate) const TRADE: Outline = &[
    &[
        "{a_name} is a person who {work} {workplace}",
        "{a_name} is someone who {work}",
        "{a_name} {work}",
    ],
    &[
        "most {names} begin to work early in the morning",
        "{names} work {workplace}",
        "some {names} work alone, and others have helpers",
        "many {names} work at night",
    ],
    &[
        "young people who want to become {names} learn for {count} years",
        "it takes {count} years to become a good {name}",
        "nobody becomes {a_name} without help",
        "most {names} have learned from their mothers or fathers",
    ],
    &[
        "in the past, every village had its own {name}",
        "there are fewer {names} now than there were a hundred years ago",
        "in {year}, there were more than {age} {names} in {county}",
        "the last {name} of {town} was {person}",
    ],
    &[
        "no {name} can work without good tools",
        "people think that {names} are very patient",
        "{names} seldom hurt {self} at work",
        "{a_name} must always be careful",
    ],
    &["{chronicle}"],
];
