"""What each rule calls bad, and what it leaves alone: every rule with faults it must find and text it must not."""

import pytest

from seq2seq.cleaning.rules import USUAL, Corpus, Rules, changes, checks, corpus_of
from seq2seq.cleaning.sentences import near_form, words

GERMAN = "Der alte Hund schläft seit gestern Abend hinter dem großen Haus."
ENGLISH = "The old dog has been sleeping behind the big house since last night."
CORPUS = corpus_of([GERMAN], [ENGLISH], ("de", "en"))


def dropped_by(rules: Rules, src: str, tgt: str, corpus: Corpus = CORPUS) -> list[str]:
    return [name for name, is_bad in checks(rules, corpus) if is_bad(src, tgt)]


FAULTS = {
    "blank": [("", ENGLISH), (GERMAN, " \t\u3000")],
    "broken": [
        ("Der Hund schlÃ¤ft.", ENGLISH),
        (GERMAN, "It\u2019s the dog\u00e2\u20ac\u2122s house."),
        ("Der Hund schl?ft.", ENGLISH),
        ("Der Hund schl\ufffdft.", ENGLISH),
        (GERMAN, "a\x07b"),
        (GERMAN, "a \ue000 b"),
    ],
    "markup": [
        ("<b>Der</b> Hund", ENGLISH),
        (GERMAN, "Tom &amp; Jerry"),
        (GERMAN, "Tom &#39;s dog"),
        ("[[Hund|Hunde]] schlafen", ENGLISH),
        (GERMAN, r"{\an8}The dog"),
        (GERMAN, r"The dog.\n The cat."),
        (GERMAN, "a well @-@ known dog"),
        ("Hun@@ d", ENGLISH),
        ("▁Der ▁Hund", ENGLISH),
        (GERMAN, "[url=x]the dog[/url]"),
    ],
    "max_words": [("Hund " * 201, "dog " * 150), ("狗" * 201, "dog " * 150)],
    "max_word_length": [("x" * 41, ENGLISH)],
    "max_ratio": [(GERMAN, "No."), ("Ja.", ENGLISH)],
    "copies": [(GERMAN, GERMAN), (GERMAN, GERMAN.upper().replace(".", "!")), (GERMAN, GERMAN.replace("Hund", "dog"))],
    "script": [(GERMAN, "Старая собака спит за домом."), ("ο παλιός σκύλος", ENGLISH)],
    "language": [(ENGLISH, GERMAN), (GERMAN, "Le vieux chien dort derrière la grande maison depuis hier soir.")],
}

SOUND = [
    (GERMAN, ENGLISH),
    ("Nein!", "No!"),
    ("Ja.", "Yes, I do."),
    ("Tom?", "Tom?"),
    ("Hotel Adlon", "Hotel Adlon"),
    ("3 < 4 und 5 > 4", "3 < 4 and 5 > 4"),
    ("Mehr R&D; gut.", "More R&D; well."),
    ("http://a.de/b?c=d ist weg.", "http://a.de/b?c=d is gone."),
    ("„Zwei“ Hunde – drei Katzen …", "“Two” dogs – three cats …"),
    ("São Paulo: NÃO É", "São Paulo: NO"),
    ("Das kostet 5\u00a0€.", "That's €5."),
    ("Das Symbol Σ steht für eine Summe.", "The symbol Σ stands for a sum."),
    ("Wirklich?Nein!", "Really?No!"),
    ("👍🏽 Gut so!", "👍🏽 Well done!"),
    ("C:\\neu [1] {2}", "C:\\new [1] {2}"),
]


@pytest.mark.parametrize("rule", FAULTS)
def test_a_rule_finds_its_faults(rule: str) -> None:
    alone = Rules(**{rule: getattr(USUAL, rule)})
    for src, tgt in FAULTS[rule]:
        assert dropped_by(alone, src, tgt) == [rule], (src, tgt)


@pytest.mark.parametrize("pair", SOUND, ids=[src for src, _ in SOUND])
def test_usual_rules_leave_sound_pairs(pair: tuple[str, str]) -> None:
    assert dropped_by(USUAL, *pair) == []


def test_rules_are_off_unless_named() -> None:
    assert Rules().named() == []
    assert all(dropped_by(Rules(), *pair) == [] for pairs in FAULTS.values() for pair in pairs)
    assert changes(Rules()) == []


def test_min_words_has_no_usual_value() -> None:
    assert dropped_by(Rules(min_words=3), "Ja .", "Yes I do") == ["min_words"]
    assert "min_words" not in USUAL.named()


def test_the_length_of_chinese_counts_characters() -> None:
    assert words("我喜欢 Python 3") == ["我", "喜", "欢", "Python", "3"]
    assert words("ein  Hund") == words("ein Hünd".replace("ü", "u"))


def test_the_ratio_is_measured_beside_the_usual_one() -> None:
    """A Chinese sentence has a third of the characters of its translation: that is no fault."""
    src, tgt = "我非常喜欢你的新房子和花园", "I like your new house and your garden very much"
    chinese = corpus_of([src] * 10, [tgt] * 10, ("zh", "en"))
    rules = Rules(max_ratio=2.0)
    assert dropped_by(rules, src, tgt, chinese) == []
    assert dropped_by(rules, src * 3, tgt, chinese) == ["max_ratio"]
    assert dropped_by(rules, src, tgt, CORPUS) == ["max_ratio"]


def test_the_usual_scripts_are_those_of_the_corpus() -> None:
    japanese = corpus_of(["犬はねむる", "カタカナ"], [ENGLISH], ("ja", "en"))
    assert japanese.scripts == ({"CJK", "HIRAGANA", "KATAKANA"}, {"LATIN"})
    assert dropped_by(Rules(script=0.5), "犬", "dog", japanese) == []
    assert dropped_by(Rules(script=0.5), "собака", "dog", japanese) == ["script"]


def test_changes_put_sentences_right() -> None:
    by_name = dict(changes(USUAL))
    assert by_name["normalize"]("scho\u0308n") == "schön"
    assert by_name["tidy"]("\ufeff a\u00ad\u200bb\u2028c\u00a0 d\t") == "ab c d"
    assert by_name["tidy"]("می\u200cخواهم") == "می\u200cخواهم"  # written so
    assert dict(changes(Rules(normalize="nfkc")))["normalize"]("ﬁve ２") == "five 2"


def test_near_forms_differ_where_words_do() -> None:
    assert near_form("Um 12 Uhr: „Los!“") == near_form("um 09 uhr los")
    assert near_form("schön") == near_form("SCHO\u0308N") != near_form("schon")
    assert near_form("?!") == "?!" != near_form("...")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"max_words": 0}, "max_words is 0; it must be at least 1"),
        ({"copies": 1.5}, "copies is 1.5; it is a share, above 0 and at most 1"),
        ({"max_ratio": 1}, "max_ratio is 1; it must be above 1"),
    ],
)
def test_impossible_values_are_refused(rules: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Rules(**rules)  # type: ignore[arg-type]


def test_a_language_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="^language does not know 'src'; name the files by ISO 639-1 codes such as de"):
        checks(USUAL, CORPUS._replace(langs=("src", "tgt")))
