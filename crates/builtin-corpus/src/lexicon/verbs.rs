//! Verbs: forms, frames and what they select, the more frequent first. Regular forms follow the
//! spelling rules.

use super::kinds::*;

/// What a verb takes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Nothing: "she slept".
    Intransitive,
    /// An object, behind the verb's preposition or particle if it has one: "she saw it", "she
    /// looked at it".
    Transitive,
    /// A way: "she walked to the shop".
    Motion,
    /// A thing and a person who gets it: "she gave it to him".
    Giving,
    /// A thing and a place where it goes: "she put it on the shelf".
    Placing,
    /// A clause: "she thought that it was late".
    Clausal,
    /// An embedded question: "she wondered who had come".
    Asking,
    /// An infinitive whose subject is the verb's own: "she tried to sleep".
    Control,
    /// An infinitive whose subject is only borrowed: "it seemed to rain".
    Raising,
}

/// One line of the table: forms (`base`, or `base past participle`), preposition or particle,
/// selection.
#[derive(Clone, Copy, Debug)]
pub(super) struct VerbEntry {
    pub forms: &'static str,
    pub particle: &'static str,
    pub frame: Frame,
    pub subject: Kinds,
    pub object: Kinds,
    /// A state rather than an act: no progressive and no imperative.
    pub stative: bool,
}

const fn verb(frame: Frame, forms: &'static str, subject: Kinds, object: Kinds) -> VerbEntry {
    VerbEntry { forms, particle: "", frame, subject, object, stative: false }
}

const fn transitive(forms: &'static str, subject: Kinds, object: Kinds) -> VerbEntry {
    verb(Frame::Transitive, forms, subject, object)
}

const fn stative(forms: &'static str, subject: Kinds, object: Kinds) -> VerbEntry {
    VerbEntry { stative: true, ..transitive(forms, subject, object) }
}

const fn with(
    particle: &'static str,
    forms: &'static str,
    subject: Kinds,
    object: Kinds,
) -> VerbEntry {
    VerbEntry { particle, ..transitive(forms, subject, object) }
}

const fn intransitive(forms: &'static str, subject: Kinds) -> VerbEntry {
    verb(Frame::Intransitive, forms, subject, NOTHING)
}

const fn motion(forms: &'static str, subject: Kinds) -> VerbEntry {
    verb(Frame::Motion, forms, subject, PLACE)
}

const fn giving(forms: &'static str) -> VerbEntry {
    verb(Frame::Giving, forms, HUMAN, PORTABLE)
}

const fn placing(forms: &'static str) -> VerbEntry {
    verb(Frame::Placing, forms, HUMAN, SMALL)
}

const fn clausal(forms: &'static str, is_stative: bool) -> VerbEntry {
    VerbEntry { stative: is_stative, ..verb(Frame::Clausal, forms, HUMAN, NOTHING) }
}

const fn asking(forms: &'static str, is_stative: bool) -> VerbEntry {
    VerbEntry { stative: is_stative, ..verb(Frame::Asking, forms, HUMAN, NOTHING) }
}

const fn control(forms: &'static str, is_stative: bool) -> VerbEntry {
    VerbEntry { stative: is_stative, ..verb(Frame::Control, forms, HUMAN, NOTHING) }
}

const fn raising(forms: &'static str) -> VerbEntry {
    VerbEntry { stative: true, ..verb(Frame::Raising, forms, VISIBLE, NOTHING) }
}

/// The auxiliaries that also inflect as verbs.
pub(super) const AUXILIARIES: &[VerbEntry] = &[
    stative("be was been", VISIBLE, NOTHING),
    stative("have had had", ANIMATE, OBJECT),
    stative("do did done", HUMAN, NOTHING),
];

pub(super) const VERBS: &[VerbEntry] = &[
    stative("see saw seen", ANIMATE, VISIBLE),
    transitive("find found found", ANIMATE, VISIBLE),
    transitive("take took taken", HUMAN, PORTABLE),
    stative("like", ANIMATE, VISIBLE.or(IDEA).or(DRINK)),
    stative("want", HUMAN, OBJECT.or(DRINK)),
    transitive("make made made", HUMAN, VESSEL.or(CLOTHING).or(TOY).or(FURNITURE).or(FOOD)),
    stative("know knew known", HUMAN, HUMAN.or(IDEA)),
    transitive("watch", ANIMATE, ANIMATE.or(VEHICLE)),
    transitive("eat ate eaten", ANIMATE, FOOD),
    transitive("help", HUMAN, ANIMATE),
    transitive("buy bought bought", HUMAN, OBJECT.or(DRINK)),
    transitive("read read read", HUMAN, TEXT),
    stative("hear heard heard", ANIMATE, ANIMATE.or(IDEA).or(INSTRUMENT).or(VEHICLE)),
    transitive("carry", HUMAN, PORTABLE.or(MATERIAL)),
    transitive("bring brought brought", HUMAN, PORTABLE.or(DRINK).or(MATERIAL)),
    transitive("open", HUMAN, VESSEL.or(TEXT)),
    transitive("hold held held", HUMAN, PORTABLE),
    transitive("follow", ANIMATE, ANIMATE.or(VEHICLE)),
    stative("love", HUMAN, ANIMATE.or(IDEA).or(INSTRUMENT).or(FOOD)),
    transitive("write wrote written", HUMAN, TEXT),
    transitive("break broke broken", HUMAN, VESSEL.or(TOOL).or(TOY).or(FURNITURE)),
    stative("need", HUMAN, OBJECT.or(DRINK).or(MATERIAL)),
    transitive("drink drank drunk", ANIMATE, DRINK),
    transitive("meet met met", HUMAN, ANIMATE),
    stative("lose lost lost", HUMAN, SMALL),
    transitive("visit", HUMAN, HUMAN.or(PLACE)),
    transitive("catch caught caught", HUMAN, ANIMAL.or(TOY)),
    transitive("play", HUMAN, INSTRUMENT),
    transitive("drive drove driven", HUMAN, VEHICLE),
    transitive("cook", HUMAN, FOOD),
    transitive("tell told told", HUMAN, IDEA),
    transitive("wash", HUMAN, VESSEL.or(CLOTHING).or(FOOD).or(VEHICLE)),
    transitive("clean", HUMAN, VESSEL.or(TOOL).or(FURNITURE).or(VEHICLE).or(BUILDING)),
    transitive("steal stole stolen", ANIMATE, FOOD.or(TREASURE)),
    transitive("hide hid hidden", HUMAN, PORTABLE),
    transitive("choose chose chosen", HUMAN, OBJECT),
    transitive("chase", ANIMATE, ANIMATE),
    transitive("draw drew drawn", HUMAN, VISIBLE.or(PLACE)),
    transitive("wear wore worn", HUMAN, CLOTHING),
    transitive("mend", HUMAN, TOOL.or(CLOTHING).or(VEHICLE).or(TOY).or(FURNITURE)),
    transitive("grow grew grown", HUMAN, PLANT),
    transitive("paint", HUMAN, FURNITURE.or(TOY).or(VEHICLE).or(BUILDING)),
    transitive("drop", HUMAN, PORTABLE),
    transitive("thank", HUMAN, HUMAN),
    transitive("plant", HUMAN, PLANT),
    transitive("sell sold sold", HUMAN, OBJECT.or(ANIMAL)),
    transitive("call", HUMAN, HUMAN.or(ANIMAL)),
    transitive("invite", HUMAN, HUMAN),
    transitive("throw threw thrown", HUMAN, TOY),
    transitive("feed fed fed", HUMAN, ANIMAL),
    stative("forget forgot forgotten", HUMAN, SMALL.or(IDEA)),
    transitive("teach taught taught", HUMAN, HUMAN),
    stative("admire", HUMAN, VISIBLE),
    transitive("hug", HUMAN, HUMAN.or(ANIMAL)),
    transitive("push", HUMAN, VEHICLE.or(FURNITURE)),
    transitive("build built built", HUMAN, BUILDING.or(FURNITURE).or(VEHICLE)),
    transitive("ride rode ridden", HUMAN, VEHICLE),
    transitive("tear tore torn", ANIMATE, CLOTHING.or(TEXT)),
    transitive("bake", HUMAN, FOOD),
    transitive("wake woke woken", ANIMATE, ANIMATE),
    transitive("scare", ANIMATE, ANIMATE),
    transitive("cross", HUMAN, OUTDOOR),
    transitive("sew sewed sewn", HUMAN, CLOTHING),
    transitive("tease", HUMAN, HUMAN),
    transitive("water", HUMAN, PLANT),
    transitive("bite bit bitten", ANIMAL, ANIMATE.or(FOOD)),
    transitive("touch", ANIMATE, VISIBLE),
    transitive("warn", HUMAN, HUMAN),
    transitive("repair", HUMAN, VEHICLE.or(FURNITURE).or(INSTRUMENT)),
    transitive("explain", HUMAN, IDEA),
    transitive("explore", ANIMATE, PLACE),
    stative("trust", HUMAN, HUMAN),
    transitive("blame", HUMAN, HUMAN),
    transitive("kiss", HUMAN, HUMAN),
    transitive("taste", HUMAN, FOOD.or(DRINK)),
    transitive("pour", HUMAN, DRINK),
    transitive("fold", HUMAN, CLOTHING.or(TEXT)),
    transitive("collect", HUMAN, TREASURE.or(TOY).or(TEXT)),
    transitive("rescue", ANIMATE, ANIMATE),
    transitive("tune", HUMAN, INSTRUMENT),
    transitive("polish", HUMAN, TREASURE.or(FURNITURE).or(INSTRUMENT)),
    transitive("shake shook shaken", HUMAN, VESSEL.or(PLANT).or(TOY)),
    transitive("forgive forgave forgiven", HUMAN, HUMAN),
    transitive("borrow", HUMAN, SMALL.or(INSTRUMENT)),
    transitive("measure", HUMAN, FURNITURE.or(MATERIAL)),
    transitive("peel", HUMAN, FOOD),
    transitive("examine", HUMAN, OBJECT.or(PLANT).or(ANIMAL)),
    transitive("weave wove woven", HUMAN, CLOTHING),
    transitive("praise", HUMAN, HUMAN),
    with("at", "look", ANIMATE, VISIBLE.or(PLACE)),
    with("for", "look", ANIMATE, VISIBLE),
    with("for", "wait", ANIMATE, HUMAN.or(VEHICLE)),
    with("about", "think thought thought", HUMAN, VISIBLE.or(IDEA)),
    with("to", "listen", HUMAN, HUMAN.or(IDEA).or(INSTRUMENT)),
    with("about", "talk", HUMAN, VISIBLE.or(IDEA).or(PLACE)),
    with("at", "laugh", HUMAN, HUMAN.or(IDEA).or(CLOTHING)),
    with("to", "talk", HUMAN, ANIMATE),
    with("at", "shout", HUMAN, ANIMATE),
    with("about", "worry", HUMAN, HUMAN.or(IDEA).or(VEHICLE)),
    with("after", "run ran run", ANIMATE, ANIMATE.or(VEHICLE)),
    with("with", "play", ANIMATE, TOY.or(ANIMATE)),
    with("at", "smile", HUMAN, HUMAN.or(ANIMAL)),
    with("of", "dream", HUMAN, VISIBLE.or(PLACE)),
    with("at", "stare", ANIMATE, VISIBLE),
    with("for", "search", HUMAN, SMALL.or(ANIMAL)),
    with("for", "pay paid paid", HUMAN, OBJECT),
    with("about", "complain", HUMAN, FOOD.or(HUMAN).or(VEHICLE)),
    intransitive("sleep slept slept", ANIMATE),
    intransitive("laugh", HUMAN),
    intransitive("wait", ANIMATE),
    intransitive("fall fell fallen", ANIMATE.or(OBJECT)),
    intransitive("cry", HUMAN),
    intransitive("smile", HUMAN),
    intransitive("sing sang sung", HUMAN),
    intransitive("arrive", ANIMATE.or(VEHICLE)),
    intransitive("sit sat sat", ANIMATE),
    intransitive("work", HUMAN),
    intransitive("dance", HUMAN),
    intransitive("break broke broken", VESSEL.or(TOOL).or(TOY)),
    intransitive("jump", ANIMATE),
    intransitive("swim swam swum", ANIMATE),
    intransitive("disappear", ANIMATE.or(OBJECT)),
    intransitive("rest", ANIMATE),
    intransitive("listen", ANIMATE),
    intransitive("yawn", ANIMATE),
    intransitive("nod", HUMAN),
    intransitive("tremble", ANIMATE),
    intransitive("hesitate", HUMAN),
    intransitive("sneeze", ANIMATE),
    intransitive("whisper", HUMAN),
    intransitive("shiver", ANIMATE),
    intransitive("agree", HUMAN),
    intransitive("complain", HUMAN),
    intransitive("snore", ANIMATE),
    intransitive("frown", HUMAN),
    intransitive("blush", HUMAN),
    intransitive("cough", HUMAN),
    intransitive("vanish", ANIMATE.or(OBJECT)),
    intransitive("kneel knelt knelt", HUMAN),
    intransitive("shine shone shone", TREASURE),
    motion("go went gone", ANIMATE),
    motion("come came come", ANIMATE),
    motion("walk", ANIMATE),
    motion("run ran run", ANIMATE),
    motion("hurry", ANIMATE),
    motion("return", ANIMATE),
    motion("travel", HUMAN),
    motion("drive drove driven", HUMAN),
    motion("march", HUMAN),
    motion("wander", ANIMATE),
    motion("rush", ANIMATE),
    motion("ride rode ridden", HUMAN),
    motion("creep crept crept", ANIMATE),
    motion("limp", ANIMATE),
    giving("give gave given"),
    giving("show showed shown"),
    giving("bring brought brought"),
    giving("send sent sent"),
    giving("offer"),
    giving("sell sold sold"),
    giving("lend lent lent"),
    giving("hand"),
    giving("pass"),
    placing("put put put"),
    placing("leave left left"),
    placing("hide hid hidden"),
    placing("keep kept kept"),
    placing("find found found"),
    placing("drop"),
    placing("place"),
    placing("store"),
    clausal("think thought thought", true),
    clausal("say said said", false),
    clausal("know knew known", true),
    clausal("hope", true),
    clausal("believe", true),
    clausal("see saw seen", true),
    clausal("hear heard heard", true),
    clausal("notice", true),
    clausal("remember", true),
    clausal("discover", true),
    clausal("explain", false),
    clausal("forget forgot forgotten", true),
    clausal("guess", true),
    clausal("admit", false),
    clausal("doubt", true),
    asking("know knew known", true),
    asking("wonder", true),
    asking("ask", false),
    asking("remember", true),
    asking("forget forgot forgotten", true),
    asking("discover", true),
    asking("see saw seen", true),
    asking("guess", true),
    asking("learn", false),
    control("want", true),
    control("try", false),
    control("decide", false),
    control("begin began begun", false),
    control("like", true),
    control("hope", true),
    control("learn", false),
    control("forget forgot forgotten", true),
    control("promise", false),
    control("refuse", false),
    control("plan", false),
    control("love", true),
    control("manage", false),
    control("agree", false),
    control("offer", false),
    raising("seem"),
    raising("appear"),
    raising("happen"),
    raising("begin began begun"),
];
