"""The grammar of the demo corpus: correct German and English for hand-made meaning trees."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data_scripts"))

from demo_grammar import lexicon as lex
from demo_grammar.english import english
from demo_grammar.german import CASES, german, noun_phrase, shows_case
from demo_grammar.meaning import (
    Cardinal,
    Clause,
    NounPhrase,
    PrepositionalPhrase,
    QuestionWord,
    RelativePronoun,
    Sentence,
    SubordinateClause,
    depth,
)

NOUN = {noun.nominative: noun for noun in lex.NOUNS}
VERB = {verb.prefix + verb.infinitive: verb for verb in lex.VERBS}
ADJECTIVE = {adjective.german: adjective for adjective in lex.ADJECTIVES}
MODAL = {modal.infinitive: modal for modal in lex.MODALS}
CONJUNCTION = {conjunction.german: conjunction for conjunction in lex.CONJUNCTIONS}
ADVERB = {
    adverb.german: adverb for adverb in (*lex.FREQUENCY, *lex.HABITUAL, *lex.PAST, *lex.FUTURE, *lex.PLACE_ADVERBS)
}
ICH, DU, ER, SIE, WIR, SIE_PLURAL = lex.PRONOUNS
ANNA = lex.NAMES[0]
MY, YOUR, HIS, HER, OUR = lex.POSSESSIVES
UNDER = lex.THING_LOCATIONS[1]


def the(noun, *adjectives, **more):
    return NounPhrase(NOUN[noun], lex.DEFINITE, adjectives=tuple(ADJECTIVE[a] for a in adjectives), **more)


def a(noun, *adjectives, **more):
    return replace(the(noun, *adjectives, **more), determiner=lex.INDEFINITE)


def that_is(noun, number="singular"):
    return RelativePronoun(NOUN[noun], number)


def clause(verb, subject, **more):
    return Clause(VERB[verb], subject, **more)


def with_relative(phrase, **more):
    """The noun phrase with a relative clause about it; the argument whose value is ... is the relative pronoun."""
    pronoun = RelativePronoun(phrase.noun, phrase.number)
    return replace(phrase, relative=clause(**{key: pronoun if value is ... else value for key, value in more.items()}))


def adverbial(conjunction, subordinate):
    return SubordinateClause(CONJUNCTION[conjunction], subordinate)


def question(inner):
    return Sentence((inner,), is_question=True)


SLEEPS = clause("schlafen", the("Kind"))
TIRED = clause("sein", ER, predicate=ADJECTIVE["müde"])
CAUSE = adverbial("weil", TIRED)

# Each entry: what it shows, the German, the English, the meaning.
# fmt: off
MAIN_CLAUSES = [
    ("transitive verb", "Die Frau liest einen Brief.", "The woman reads a letter.",
     clause("lesen", the("Frau"), accusative=a("Brief"))),
    ("perfect with haben is the English past", "Die Frau hat das Buch gelesen.", "The woman read the book.",
     clause("lesen", the("Frau"), accusative=the("Buch"), tense="past")),
    ("perfect with sein", "Der Hund ist in den Garten gelaufen.", "The dog ran into the garden.",
     clause("laufen", the("Hund"), place=PrepositionalPhrase(lex.INTO, the("Garten")), tense="past")),
    ("preterite of haben", "Die Kinder hatten einen Apfel.", "The children had an apple.",
     clause("haben", the("Kind", number="plural"), accusative=a("Apfel"), tense="past")),
    ("time before the verb inverts", "Gestern hat der Mann den roten Tisch gekauft.",
     "Yesterday the man bought the red table.",
     clause("kaufen", the("Mann"), accusative=the("Tisch", "rot"), time=ADVERB["gestern"], tense="past", front="time")),
    ("place before the verb inverts", "Draußen spielen die Kinder.", "Outside the children play.",
     clause("spielen", the("Kind", number="plural"), place=ADVERB["draußen"], front="place")),
    ("accusative before the verb", "Den Hund sieht die Frau.", "The woman sees the dog.",
     clause("sehen", the("Frau"), accusative=the("Hund"), front="accusative")),
    ("dative before the verb", "Der Katze hilft der Bruder.", "The brother helps the cat.",
     clause("helfen", the("Bruder"), dative=the("Katze"), front="dative")),
    ("clause before the verb", "Weil er müde ist, schläft das Kind.", "Because he is tired, the child sleeps.",
     replace(SLEEPS, adverbial_clause=CAUSE, front="adverbial_clause")),
    ("clause behind the verb", "Das Kind schläft, obwohl wir oft singen.", "The child sleeps although we often sing.",
     replace(SLEEPS, adverbial_clause=adverbial("obwohl", clause("singen", WIR, time=ADVERB["oft"])))),
    ("wenn is when in the present", "Ich singe, wenn er aufsteht.", "I sing when he gets up.",
     clause("singen", ICH, adverbial_clause=adverbial("wenn", clause("aufstehen", ER)))),
    ("als is when in the past", "Ich habe gesungen, als er aufgestanden ist.", "I sang when he got up.",
     clause("singen", ICH, tense="past", adverbial_clause=adverbial("als", clause("aufstehen", ER, tense="past")))),
    ("separable verb, split", "Ich mache die Tür auf.", "I open the door.",
     clause("aufmachen", ICH, accusative=the("Tür"))),
    ("separable verb, perfect", "Sie hat ihn angerufen.", "She called him.",
     clause("anrufen", SIE, accusative=ER, tense="past")),
    ("separable verb with a modal", "Du musst die Lehrer einladen.", "You have to invite the teachers.",
     clause("einladen", DU, accusative=the("Lehrer", number="plural"), modal=MODAL["müssen"])),
    ("separable verb, second person with umlaut", "Du lädst Anna ein.", "You invite Anna.",
     clause("einladen", DU, accusative=ANNA)),
    ("separable verb in a dass clause", "Wir glauben, dass Anna ein Buch mitbringt.",
     "We believe that Anna brings along a book.",
     clause("glauben", WIR, complement=clause("mitbringen", ANNA, accusative=a("Buch")))),
    ("modal in a dass clause", "Ich glaube, dass er das Fenster aufmachen kann.",
     "I believe that he can open the window.",
     clause("glauben", ICH, complement=clause("aufmachen", ER, accusative=the("Fenster"), modal=MODAL["können"]))),
    ("perfect in an ob clause", "Er fragt, ob sie die Haustür zugemacht hat.",
     "He asks whether she closed the front door.",
     clause("fragen", ER, complement=clause("zumachen", SIE, accusative=the("Haustür"), tense="past"))),
    ("English particle behind a pronoun", "Die Mutter holt ihn ab.", "The mother picks him up.",
     clause("abholen", the("Mutter"), accusative=ER)),
    ("English particle before a noun", "Die Mutter hat das Kind abgeholt.", "The mother picked up the child.",
     clause("abholen", the("Mutter"), accusative=the("Kind"), tense="past")),
    ("dative plural", "Der Arzt hilft den müden Kindern.", "The doctor helps the tired children.",
     clause("helfen", the("Arzt"), dative=the("Kind", "müde", number="plural"))),
    ("verb with sein and dative", "Der Hund ist mir gefolgt.", "The dog followed me.",
     clause("folgen", the("Hund"), dative=ICH, tense="past")),
    ("separable dative verb", "Der Student hört dem Lehrer zu.", "The student listens to the teacher.",
     clause("zuhören", the("Student"), dative=the("Lehrer"))),
    ("belonging", "Das Fahrrad gehört ihr.", "The bicycle belongs to her.",
     clause("gehören", the("Fahrrad"), dative=SIE)),
    ("two objects", "Der Lehrer gibt einem Mädchen den Schlüssel.", "The teacher gives the key to a girl.",
     clause("geben", the("Lehrer"), dative=a("Mädchen"), accusative=the("Schlüssel"))),
    ("two objects of a separable verb, weak noun", "Sie haben dem Studenten die Tasche zurückgegeben.",
     "They gave back the bag to the student.",
     clause("zurückgeben", SIE_PLURAL, dative=the("Student"), accusative=the("Tasche"), tense="past")),
    ("genitive of a masculine noun", "Ich sehe das Haus des alten Arztes.", "I see the old doctor's house.",
     clause("sehen", ICH, accusative=the("Haus", possessor=the("Arzt", "alt")))),
    ("genitive of a feminine noun and of a plural", "Das Fahrrad der Kinder ist rot.", "The children's bicycle is red.",
     clause("sein", the("Fahrrad", possessor=the("Kind", number="plural")), predicate=ADJECTIVE["rot"])),
    ("compound in the plural", "Wir kaufen drei Kinderbücher.", "We buy three children's books.",
     clause("kaufen", WIR, accusative=a("Kinderbuch", number="plural", count=Cardinal(3)))),
    ("weak adjective ending", "Der junge Mann sucht den kleinen Schlüssel.", "The young man looks for the small key.",
     clause("suchen", the("Mann", "jung"), accusative=the("Schlüssel", "klein"))),
    ("mixed adjective endings", "Ein alter Lehrer hat ein neues Fahrrad.", "An old teacher has a new bicycle.",
     clause("haben", a("Lehrer", "alt"), accusative=a("Fahrrad", "neu"))),
    ("strong adjective endings", "Junge Katzen sehen 14 alte Hunde.", "Young cats see 14 old dogs.",
     clause("sehen", a("Katze", "jung", number="plural"), accusative=a("Hund", "alt", number="plural",
            count=Cardinal(14, digits=True)))),
    ("definite article before a number", "Die zwei Mädchen lesen das teure Buch.",
     "The two girls read the expensive book.",
     clause("lesen", the("Mädchen", number="plural", count=Cardinal(2)), accusative=the("Buch", "teuer"))),
    ("an honest man", "Ein ehrlicher Mann schläft.", "An honest man sleeps.",
     clause("schlafen", a("Mann", "ehrlich"))),
    ("demonstrative, universal and many", "Jede Frau gibt vielen Kindern diesen Brief.",
     "Every woman gives this letter to many children.",
     clause("geben", replace(the("Frau"), determiner=lex.UNIVERSAL_SINGULAR), dative=replace(the("Kind",
            number="plural"), determiner=lex.MANY), accusative=replace(the("Brief"), determiner=lex.DEMONSTRATIVE))),
    ("all takes weak adjectives, many strong ones", "Alle alten Männer suchen viele alte Bücher.",
     "All old men look for many old books.",
     clause("suchen", replace(the("Mann", "alt", number="plural"), determiner=lex.UNIVERSAL_PLURAL),
            accusative=replace(the("Buch", "alt", number="plural"), determiner=lex.MANY))),
    ("possessives", "Ihr Bruder sieht unseren Hund.", "Her brother sees our dog.",
     clause("sehen", replace(the("Bruder"), determiner=HER), accusative=replace(the("Hund"), determiner=OUR))),
    ("nicht at the end", "Die Frau sieht den Hund nicht.", "The woman does not see the dog.",
     clause("sehen", the("Frau"), accusative=the("Hund"), negated=True)),
    ("nicht before prefix and place", "Sie schlafen nicht im Büro ein.", "They do not fall asleep in the office.",
     clause("einschlafen", SIE_PLURAL, place=PrepositionalPhrase(lex.IN, the("Büro")), negated=True)),
    ("nicht before the participle", "Ich habe den Arzt nicht angerufen.", "I did not call the doctor.",
     clause("anrufen", ICH, accusative=the("Arzt"), tense="past", negated=True)),
    ("nicht before the adjective", "Die Küche war nicht groß.", "The kitchen was not big.",
     clause("sein", the("Küche"), predicate=ADJECTIVE["groß"], tense="past", negated=True)),
    ("kein", "Der Mann kauft keine Tasche.", "The man does not buy a bag.",
     clause("kaufen", the("Mann"), accusative=a("Tasche"), negated=True)),
    ("kein in the plural", "Die Kinder haben keine neuen Bücher gelesen.", "The children did not read any new books.",
     clause("lesen", the("Kind", number="plural"), accusative=a("Buch", "neu", number="plural"), tense="past",
            negated=True)),
    ("kein as subject", "Kein Student singt.", "No student sings.",
     clause("singen", replace(the("Student"), determiner=lex.NEGATIVE))),
    ("object pronoun before a long subject", "Weil mir der Mann, der singt, hilft, schlafe ich.",
     "Because the man who sings helps me, I sleep.",
     clause("schlafen", ICH, front="adverbial_clause", adverbial_clause=adverbial("weil", clause(
         "helfen", with_relative(the("Mann"), verb="singen", subject=...), dative=ICH)))),
    ("cannot", "Er kann uns nicht helfen.", "He cannot help us.",
     clause("helfen", ER, dative=WIR, modal=MODAL["können"], negated=True)),
    ("muss nicht", "Anna muss nicht arbeiten.", "Anna does not have to work.",
     clause("arbeiten", ANNA, modal=MODAL["müssen"], negated=True)),
    ("durfte", "Ich durfte in die Schule gehen.", "I was allowed to go into the school.",
     clause("gehen", ICH, place=PrepositionalPhrase(lex.INTO, the("Schule")), modal=MODAL["dürfen"], tense="past")),
    ("wollte", "Die Hunde wollten schlafen.", "The dogs wanted to sleep.",
     clause("schlafen", the("Hund", number="plural"), modal=MODAL["wollen"], tense="past")),
    ("future", "Morgen werden wir arbeiten.", "Tomorrow we will work.",
     clause("arbeiten", WIR, time=ADVERB["morgen"], modal=MODAL["werden"], front="time")),
    ("contraction with an adjective", "Die Schwester ist im schönen Garten.", "The sister is in the beautiful garden.",
     clause("sein", the("Schwester"), place=PrepositionalPhrase(lex.IN, the("Garten", "schön")))),
    ("in with accusative is into", "Eine Katze läuft ins Haus.", "A cat runs into the house.",
     clause("laufen", a("Katze"), place=PrepositionalPhrase(lex.INTO, the("Haus")))),
    ("companion", "Das Mädchen spielt am Abend mit dem Hund zu Hause.",
     "The girl plays with the dog at home in the evening.",
     clause("spielen", the("Mädchen"), oblique=PrepositionalPhrase(lex.WITH, the("Hund")), place=ADVERB["zu Hause"],
            time=ADVERB["am Abend"])),
    ("beneficiary", "Er hat einen Mantel für den Studenten gekauft.", "He bought a coat for the student.",
     clause("kaufen", ER, accusative=a("Mantel"), oblique=PrepositionalPhrase(lex.FOR, the("Student")), tense="past")),
    ("pronoun before time", "Anna holt mich jeden Tag ab.", "Anna picks me up every day.",
     clause("abholen", ANNA, accusative=ICH, time=ADVERB["jeden Tag"])),
    ("nie behind a known object", "Der Mann räumt das Zimmer nie auf.", "The man never tidies up the room.",
     clause("aufräumen", the("Mann"), accusative=the("Zimmer"), time=ADVERB["nie"])),
    ("oft before a new object", "Der Mann liest oft Briefe.", "The man often reads letters.",
     clause("lesen", the("Mann"), accusative=a("Brief", number="plural"), time=ADVERB["oft"])),
    ("English adverb behind be", "Ich bin immer müde.", "I am always tired.",
     clause("sein", ICH, predicate=ADJECTIVE["müde"], time=ADVERB["immer"])),
]

RELATIVE_CLAUSES = [
    ("subject", "Ich sehe das Kind, das schläft.", "I see the child who sleeps.",
     clause("sehen", ICH, accusative=with_relative(the("Kind"), verb="schlafen", subject=...))),
    ("subject in the plural", "Wir helfen den Frauen, die arbeiten.", "We help the women who work.",
     clause("helfen", WIR, dative=with_relative(the("Frau", number="plural"), verb="arbeiten", subject=...))),
    ("accusative", "Er liest den Brief, den Anna mitgebracht hat.", "He reads the letter which Anna brought along.",
     clause("lesen", ER, accusative=with_relative(the("Brief"), verb="mitbringen", subject=ANNA, accusative=...,
            tense="past"))),
    ("accusative person", "Der Mann, den die Frau sieht, singt.", "The man whom the woman sees sings.",
     clause("singen", with_relative(the("Mann"), verb="sehen", subject=the("Frau"), accusative=...))),
    ("dative", "Die Frau, der der Arzt hilft, singt.", "The woman whom the doctor helps sings.",
     clause("singen", with_relative(the("Frau"), verb="helfen", subject=the("Arzt"), dative=...))),
    ("dative plural is denen", "Die Kinder, denen der Mann das Buch gibt, singen.",
     "The children to whom the man gives the book sing.",
     clause("singen", with_relative(the("Kind", number="plural"), verb="geben", subject=the("Mann"), dative=...,
            accusative=the("Buch")))),
    ("place", "Das Haus, in dem sie schlafen, ist alt.", "The house in which they sleep is old.",
     clause("sein", with_relative(the("Haus"), verb="schlafen", subject=SIE_PLURAL, place=PrepositionalPhrase(lex.IN,
            that_is("Haus"))), predicate=ADJECTIVE["alt"])),
    ("no contraction before a relative clause", "Ich schlafe in dem Haus, das neu ist.",
     "I sleep in the house which is new.",
     clause("schlafen", ICH, place=PrepositionalPhrase(lex.IN, with_relative(the("Haus"), verb="sein", subject=...,
            predicate=ADJECTIVE["neu"])))),
    ("particle stays with its verb", "Er sucht den Mantel, den Anna anziehen will.",
     "He looks for the coat which Anna wants to put on.",
     clause("suchen", ER, accusative=with_relative(the("Mantel"), verb="anziehen", subject=ANNA, accusative=...,
            modal=MODAL["wollen"]))),
    ("prefix behind the relative clause", "Wir machen die Tür, die er repariert hat, auf.",
     "We open the door which he repaired.",
     clause("aufmachen", WIR, accusative=with_relative(the("Tür"), verb="reparieren", subject=ER, accusative=...,
            tense="past"))),
    ("nicht in a relative clause", "Ich suche das Buch, das du nicht liest.",
     "I look for the book which you do not read.",
     clause("suchen", ICH, accusative=with_relative(the("Buch"), verb="lesen", subject=DU, accusative=...,
            negated=True))),
    ("nested three deep", "Ich glaube, dass der Hund, der unter dem Tisch, den die Mutter gekauft hat, ist, schläft.",
     "I believe that the dog which is under the table which the mother bought sleeps.",
     clause("glauben", ICH, complement=clause("schlafen", with_relative(the("Hund"), verb="sein", subject=...,
            place=PrepositionalPhrase(UNDER, with_relative(
                the("Tisch"), verb="kaufen", subject=the("Mutter"), accusative=..., tense="past")))))),
]

QUESTIONS = [
    ("yes or no", "Schläft das Kind?", "Does the child sleep?",
     clause("schlafen", the("Kind"))),
    ("yes or no with a prefix", "Rufst du Anna an?", "Do you call Anna?",
     clause("anrufen", DU, accusative=ANNA)),
    ("yes or no with a modal", "Kannst du mir helfen?", "Can you help me?",
     clause("helfen", DU, dative=ICH, modal=MODAL["können"])),
    ("yes or no with be", "Waren die Schlüssel hier?", "Were the keys here?",
     clause("sein", the("Schlüssel", number="plural"), place=ADVERB["hier"], tense="past")),
    ("wer", "Wer hat der Frau geholfen?", "Who helped the woman?",
     clause("helfen", QuestionWord("person"), dative=the("Frau"), tense="past")),
    ("wer with nicht", "Wer schläft nicht?", "Who does not sleep?",
     clause("schlafen", QuestionWord("person"), negated=True)),
    ("wen", "Wen hat der Lehrer eingeladen?", "Whom did the teacher invite?",
     clause("einladen", the("Lehrer"), accusative=QuestionWord("person"), tense="past")),
    ("wem", "Wem gibt er das Buch?", "To whom does he give the book?",
     clause("geben", ER, dative=QuestionWord("person"), accusative=the("Buch"))),
    ("was", "Was sucht Anna?", "What does Anna look for?",
     clause("suchen", ANNA, accusative=QuestionWord("thing"))),
    ("wo", "Wo ist die Lampe?", "Where is the lamp?",
     clause("sein", the("Lampe"), place=lex.WHERE)),
    ("warum", "Warum müssen sie aufstehen?", "Why do they have to get up?",
     clause("aufstehen", SIE_PLURAL, time=lex.WHY, modal=MODAL["müssen"])),
    ("wann", "Wann macht der Mann die Gartentür zu?", "When does the man close the garden door?",
     clause("zumachen", the("Mann"), accusative=the("Gartentür"), time=lex.WHEN)),
]
# fmt: on


@pytest.mark.parametrize(("what", "de", "en", "tree"), MAIN_CLAUSES, ids=[what for what, *_ in MAIN_CLAUSES])
def test_a_main_clause_is_said_in_both_languages(what, de, en, tree):
    assert (german(Sentence((tree,))), english(Sentence((tree,)))) == (de, en)


@pytest.mark.parametrize(("what", "de", "en", "tree"), RELATIVE_CLAUSES, ids=[what for what, *_ in RELATIVE_CLAUSES])
def test_a_relative_clause_is_said_in_both_languages(what, de, en, tree):
    assert (german(Sentence((tree,))), english(Sentence((tree,)))) == (de, en)


@pytest.mark.parametrize(("what", "de", "en", "tree"), QUESTIONS, ids=[what for what, *_ in QUESTIONS])
def test_a_question_is_asked_in_both_languages(what, de, en, tree):
    assert (german(question(tree)), english(question(tree))) == (de, en)


def test_joined_clauses_each_have_their_verb_second():
    second = clause("singen", ICH, adverbial_clause=CAUSE, front="adverbial_clause")
    both = Sentence((replace(SLEEPS, adverbial_clause=CAUSE), second), "und")
    assert german(both) == "Das Kind schläft, weil er müde ist, und weil er müde ist, singe ich."
    assert english(both) == "The child sleeps because he is tired and because he is tired, I sing."
    assert german(replace(both, clauses=(SLEEPS, TIRED), conjunction="aber")) == "Das Kind schläft, aber er ist müde."
    assert english(replace(both, clauses=(SLEEPS, TIRED), conjunction="aber")) == "The child sleeps, but he is tired."


@pytest.mark.parametrize(
    ("number", "cases"),
    [
        ("singular", ["der kleine Hund", "den kleinen Hund", "dem kleinen Hund", "des kleinen Hundes"]),
        ("plural", ["die kleinen Hunde", "die kleinen Hunde", "den kleinen Hunden", "der kleinen Hunde"]),
    ],
)
def test_a_noun_phrase_agrees_in_all_cases(number, cases):
    phrase = the("Hund", "klein", number=number)
    assert [" ".join(noun_phrase(phrase, case)) for case in CASES] == cases


def test_the_depth_of_a_tree_counts_nested_clauses():
    *_, tree = RELATIVE_CLAUSES[-1]
    assert depth(Sentence((tree,))) == 3
    assert depth(Sentence((SLEEPS,))) == 0
    assert depth(Sentence((SLEEPS, replace(SLEEPS, adverbial_clause=CAUSE)), "und")) == 1


def test_only_a_masculine_accusative_and_the_datives_show_their_case():
    assert shows_case(the("Hund"), "accusative") and not shows_case(the("Hund", number="plural"), "accusative")
    assert not shows_case(the("Katze"), "accusative") and shows_case(the("Katze"), "dative")
    assert not shows_case(SIE, "accusative") and shows_case(ER, "accusative") and not shows_case(ANNA, "dative")
