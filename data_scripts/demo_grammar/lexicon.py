"""The words of the demo corpus, as a dictionary writes them."""

from .words import (
    Adjective,
    Adverb,
    Conjugation,
    Conjunction,
    Determiner,
    Modal,
    Name,
    Noun,
    Preposition,
    Pronoun,
    Verb,
    compound,
    noun,
    verb,
)

# Kinds of nouns: person, animal (both are animate); thing with portable, readable, openable, wearable, furniture,
# vehicle, fixable; place with room, building. unowned takes no possessive: meine Frau is my wife.
_DOOR = noun("die Tür - Türen", "door", "thing openable fixable")
_WINDOW = noun("das Fenster -s Fenster", "window", "thing openable fixable")
_TABLE = noun("der Tisch -es Tische", "table", "thing furniture fixable")
_CHAIR = noun("der Stuhl -s Stühle", "chair", "thing furniture fixable")
_KEY = noun("der Schlüssel -s Schlüssel", "key", "thing portable")
_LAMP = noun("die Lampe - Lampen", "lamp", "thing portable fixable")
_BOOK = noun("das Buch -es Bücher", "book", "thing portable readable")
_BAG = noun("die Tasche - Taschen", "bag", "thing portable openable")
_BICYCLE = noun("das Fahrrad -s Fahrräder", "bicycle", "thing vehicle fixable")
_COAT = noun("der Mantel -s Mäntel", "coat", "thing portable wearable")
_SHOE = noun("der Schuh -s Schuhe", "shoe", "thing portable wearable")

NOUNS: tuple[Noun, ...] = (
    noun("der Mann -es Männer", "man men", "person animate unowned"),
    noun("der Bruder -s Brüder", "brother", "person animate"),
    noun("der Lehrer -s Lehrer", "teacher", "person animate"),
    noun("der Arzt -es Ärzte", "doctor", "person animate"),
    noun("der Student -en Studenten", "student", "person animate"),
    noun("die Frau - Frauen", "woman women", "person animate unowned"),
    noun("die Mutter - Mütter", "mother", "person animate"),
    noun("die Schwester - Schwestern", "sister", "person animate"),
    noun("das Kind -es Kinder", "child children", "person animate"),
    noun("das Mädchen -s Mädchen", "girl", "person animate unowned"),
    noun("der Hund -es Hunde", "dog", "animal animate"),
    noun("die Katze - Katzen", "cat", "animal animate"),
    _DOOR,
    _WINDOW,
    _TABLE,
    _CHAIR,
    _KEY,
    _LAMP,
    _BOOK,
    _BAG,
    _BICYCLE,
    _COAT,
    _SHOE,
    noun("der Brief -es Briefe", "letter", "thing portable readable"),
    noun("der Apfel -s Äpfel", "apple", "thing portable"),
    compound("Haus", "front", _DOOR),
    compound("Garten", "garden", _DOOR),
    compound("Küchen", "kitchen", _TABLE),
    compound("Küchen", "kitchen", _LAMP),
    compound("Keller", "cellar", _KEY),
    compound("Büro", "office", _KEY),
    compound("Schul", "school", _BAG),
    compound("Kinder", "children's", _BOOK),
    compound("Kinder", "children's", _BICYCLE),
    compound("Winter", "winter", _COAT),
    noun("die Küche - Küchen", "kitchen", "place room"),
    noun("das Zimmer -s Zimmer", "room", "place room"),
    noun("der Keller -s Keller", "cellar", "place room"),
    noun("das Büro -s Büros", "office", "place room"),
    noun("der Garten -s Gärten", "garden", "place"),
    noun("die Stadt - Städte", "city cities", "place"),
    noun("das Haus -es Häuser", "house", "place building"),
    noun("die Schule - Schulen", "school", "place building"),
)

ADJECTIVES: tuple[Adjective, ...] = (
    Adjective("müde", "müd", "tired", 0, ("animate",)),
    Adjective("freundlich", "freundlich", "friendly", 1, ("person",)),
    Adjective("ehrlich", "ehrlich", "honest", 1, ("person",)),
    Adjective("schön", "schön", "beautiful", 1, ("thing", "place")),
    Adjective("teuer", "teur", "expensive", 1, ("thing",)),
    Adjective("klein", "klein", "small", 2, ("thing", "place", "animal")),
    Adjective("groß", "groß", "big", 2, ("thing", "place", "animal")),
    Adjective("alt", "alt", "old", 3, ("thing", "place", "animate")),
    Adjective("neu", "neu", "new", 3, ("thing", "place")),
    Adjective("jung", "jung", "young", 3, ("animate",)),
    Adjective("rot", "rot", "red", 4, ("thing",)),
)

SEIN_PRESENT: Conjugation = ("bin", "bist", "ist", "sind")
HABEN_PRESENT: Conjugation = ("habe", "hast", "hat", "haben")

_OBJECTS = "portable furniture vehicle"

VERBS: tuple[Verb, ...] = (
    verb(
        "sein, ist, ist gewesen",
        "be, is, was",
        "copula",
        present=SEIN_PRESENT,
        preterite=("war", "warst", "war", "waren"),
        subjects="any",
    ),
    verb("schlafen, schläft, hat geschlafen", "sleep, sleeps, slept", "intransitive", subjects="animate"),
    verb("arbeiten, arbeitet, hat gearbeitet", "work, works, worked", "intransitive", oblique="mit"),
    verb("singen, singt, hat gesungen", "sing, sings, sang", "intransitive", oblique="mit"),
    verb("spielen, spielt, hat gespielt", "play, plays, played", "intransitive", oblique="mit", subjects="animate"),
    verb("aufstehen, steht auf, ist aufgestanden", "get up, gets up, got up", "intransitive", subjects="animate"),
    verb(
        "einschlafen, schläft ein, ist eingeschlafen",
        "fall asleep, falls asleep, fell asleep",
        "intransitive",
        subjects="animate",
    ),
    verb("gehen, geht, ist gegangen", "go, goes, went", "motion", oblique="mit"),
    verb("laufen, läuft, ist gelaufen", "run, runs, ran", "motion", oblique="mit", subjects="animate"),
    verb(
        "haben, hat, hat gehabt",
        "have, has, had",
        "transitive",
        _OBJECTS,
        present=HABEN_PRESENT,
        preterite=("hatte", "hattest", "hatte", "hatten"),
        stative=True,
    ),
    verb("lesen, liest, hat gelesen", "read, reads, read", "transitive", "readable"),
    verb("kaufen, kauft, hat gekauft", "buy, buys, bought", "transitive", _OBJECTS, oblique="für"),
    verb(
        "suchen, sucht, hat gesucht",
        "look for, looks for, looked for",
        "transitive",
        "portable person animal",
        subjects="animate",
    ),
    verb("sehen, sieht, hat gesehen", "see, sees, saw", "transitive", "thing person animal", subjects="animate"),
    verb("reparieren, repariert, hat repariert", "repair, repairs, repaired", "transitive", "fixable", oblique="für"),
    verb("aufmachen, macht auf, hat aufgemacht", "open, opens, opened", "transitive", "openable"),
    verb("zumachen, macht zu, hat zugemacht", "close, closes, closed", "transitive", "openable"),
    verb(
        "mitbringen, bringt mit, hat mitgebracht",
        "bring, brings, brought",
        "transitive",
        "portable",
        particle="along",
        oblique="für",
    ),
    verb("wegwerfen, wirft weg, hat weggeworfen", "throw, throws, threw", "transitive", "portable", particle="away"),
    verb("anziehen, zieht an, hat angezogen", "put, puts, put", "transitive", "wearable", particle="on"),
    verb("aufräumen, räumt auf, hat aufgeräumt", "tidy, tidies, tidied", "transitive", "room", particle="up"),
    verb("anrufen, ruft an, hat angerufen", "call, calls, called", "transitive", "person"),
    verb("einladen, lädt ein, hat eingeladen", "invite, invites, invited", "transitive", "person"),
    verb("abholen, holt ab, hat abgeholt", "pick, picks, picked", "transitive", "person", particle="up"),
    verb("helfen, hilft, hat geholfen", "help, helps, helped", "dative", "person animal"),
    verb("folgen, folgt, ist gefolgt", "follow, follows, followed", "dative", "person animal", subjects="animate"),
    verb("zuhören, hört zu, hat zugehört", "listen to, listens to, listened to", "dative", "person"),
    verb(
        "gehören, gehört, hat gehört",
        "belong to, belongs to, belonged to",
        "dative",
        "person",
        subjects="thing",
        stative=True,
    ),
    verb("geben, gibt, hat gegeben", "give, gives, gave", "ditransitive", "portable"),
    verb("zeigen, zeigt, hat gezeigt", "show, shows, showed", "ditransitive", "thing"),
    verb("bringen, bringt, hat gebracht", "bring, brings, brought", "ditransitive", "portable"),
    verb(
        "zurückgeben, gibt zurück, hat zurückgegeben", "give, gives, gave", "ditransitive", "portable", particle="back"
    ),
    verb("glauben, glaubt, hat geglaubt", "believe, believes, believed", "clausal", conjunction="dass"),
    verb(
        "wissen, weiß, hat gewusst",
        "know, knows, knew",
        "clausal",
        conjunction="dass",
        stative=True,
        present=("weiß", "weißt", "weiß", "wissen"),
        preterite=("wusste", "wusstest", "wusste", "wussten"),
    ),
    verb("fragen, fragt, hat gefragt", "ask, asks, asked", "clausal", conjunction="ob"),
)

WERDEN = Modal("werden", ("werde", "wirst", "wird", "werden"), None, "auxiliary", ("will", ""))
MODALS: tuple[Modal, ...] = (
    WERDEN,
    Modal(
        "können",
        ("kann", "kannst", "kann", "können"),
        ("konnte", "konntest", "konnte", "konnten"),
        "auxiliary",
        ("can", "could"),
    ),
    Modal(
        "müssen",
        ("muss", "musst", "muss", "müssen"),
        ("musste", "musstest", "musste", "mussten"),
        "verb",
        ("have to", "has to", "had to"),
    ),
    Modal(
        "wollen",
        ("will", "willst", "will", "wollen"),
        ("wollte", "wolltest", "wollte", "wollten"),
        "verb",
        ("want to", "wants to", "wanted to"),
    ),
    Modal(
        "dürfen",
        ("darf", "darfst", "darf", "dürfen"),
        ("durfte", "durftest", "durfte", "durften"),
        "be",
        ("allowed to",),
    ),
    # sollte is both past and subjunctive, so sollen stays in the present.
    Modal("sollen", ("soll", "sollst", "soll", "sollen"), None, "auxiliary", ("should", "")),
)

DEFINITE = Determiner("d", "der", "weak", "the", "the")
INDEFINITE = Determiner("ein", "ein", "mixed", "a", "")
NEGATIVE = Determiner("kein", "ein", "mixed", "no", "no")
DEMONSTRATIVE = Determiner("dies", "dieser", "weak", "this", "these")
UNIVERSAL_SINGULAR = Determiner("jed", "dieser", "weak", "every", "")
UNIVERSAL_PLURAL = Determiner("all", "dieser", "weak", "", "all")
MANY = Determiner("viel", "dieser", "strong", "", "many")
# ihr is always "her", never "their"; sein is always "his", never "its".
POSSESSIVES: tuple[Determiner, ...] = tuple(
    Determiner(german, "ein", "mixed", english, english)
    for german, english in (("mein", "my"), ("dein", "your"), ("sein", "his"), ("ihr", "her"), ("unser", "our"))
)

# sie is she or they by the verb; as an accusative it would be ambiguous and is not used. Neither are ihr (you) and Sie.
PRONOUNS: tuple[Pronoun, ...] = (
    Pronoun(1, "singular", ("ich", "mich", "mir"), ("I", "me")),
    Pronoun(2, "singular", ("du", "dich", "dir"), ("you", "you")),
    Pronoun(3, "singular", ("er", "ihn", "ihm"), ("he", "him")),
    Pronoun(3, "singular", ("sie", "sie", "ihr"), ("she", "her")),
    Pronoun(1, "plural", ("wir", "uns", "uns"), ("we", "us")),
    Pronoun(3, "plural", ("sie", "sie", "ihnen"), ("they", "them")),
)
NAMES: tuple[Name, ...] = tuple(Name(name) for name in ("Anna", "Maria", "Peter", "David"))

NEVER = Adverb("nie", "never", middle=True)
FREQUENCY: tuple[Adverb, ...] = (Adverb("oft", "often", middle=True), Adverb("immer", "always", middle=True), NEVER)
HABITUAL: tuple[Adverb, ...] = (
    Adverb("jeden Tag", "every day"),
    Adverb("jeden Morgen", "every morning"),
    Adverb("am Abend", "in the evening"),
)
PAST: tuple[Adverb, ...] = (
    Adverb("gestern", "yesterday"),
    Adverb("letzte Woche", "last week"),
    Adverb("am Montag", "on Monday"),
)
FUTURE: tuple[Adverb, ...] = (
    Adverb("heute", "today"),
    Adverb("morgen", "tomorrow"),
    Adverb("nächste Woche", "next week"),
    Adverb("am Montag", "on Monday"),
)
PLACE_ADVERBS: tuple[Adverb, ...] = (
    Adverb("hier", "here"),
    Adverb("draußen", "outside"),
    Adverb("zu Hause", "at home"),
)
WHERE, WHEN, WHY = Adverb("wo", "where"), Adverb("wann", "when"), Adverb("warum", "why")

IN = Preposition("in", "in", "dative", ("place",))
INTO = Preposition("in", "into", "accusative", ("place",))
LOCATIONS: tuple[Preposition, ...] = (
    Preposition("hinter", "behind", "dative", ("building",)),
    Preposition("vor", "in front of", "dative", ("building",)),
)
THING_LOCATIONS: tuple[Preposition, ...] = (
    Preposition("auf", "on", "dative", ("furniture",)),
    Preposition("unter", "under", "dative", ("furniture",)),
    Preposition("neben", "next to", "dative", ("furniture", "openable")),
)
WITH = Preposition("mit", "with", "dative", ("person", "animal"))
WITHOUT = Preposition("ohne", "without", "accusative", ("person", "animal"))
FOR = Preposition("für", "for", "accusative", ("person", "animal"))

CONJUNCTIONS: tuple[Conjunction, ...] = (
    Conjunction("weil", "because", ("present", "past")),
    Conjunction("obwohl", "although", ("present", "past")),
    Conjunction("wenn", "when", ("present",)),
    Conjunction("als", "when", ("past",)),
    Conjunction("bevor", "before", ("present", "past")),
)

CARDINALS: dict[int, tuple[str, str]] = {
    2: ("zwei", "two"),
    3: ("drei", "three"),
    4: ("vier", "four"),
    5: ("fünf", "five"),
    6: ("sechs", "six"),
    7: ("sieben", "seven"),
    8: ("acht", "eight"),
    9: ("neun", "nine"),
    10: ("zehn", "ten"),
}
