"""Faults to plant into a sound German-English corpus: what each makes of a pair."""

import random
import unicodedata
from collections.abc import Callable

SoundPair = tuple[str, str]
_FRENCH = ["Le vieux chien dort derrière", "Une petite fille mange devant", "Nous avons trouvé ces livres dans"]
_PLACES = [
    "la grande maison de mes parents",
    "le jardin de la voisine",
    "cette école abandonnée",
    "l'église du village",
]
_CYRILLIC = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшхыз")


def _last(text: str, mark: str) -> str:
    return text.rstrip(".!?") + mark


def _glued(text: str) -> str:
    letters = "".join(character for character in text if character.isalpha())
    return letters * (45 // len(letters) + 1)


def _digits(text: str, shift: int) -> str:
    return "".join(str((int(c) + shift) % 10) if c.isdigit() else c for c in text)


# kind -> (check that finds it, what becomes of a pair; the generator draws, the number tells faults of a kind apart)
Plant = Callable[[SoundPair, random.Random, int], SoundPair]
FAULTS: dict[str, tuple[str, Plant]] = {
    "blank source": ("blank", lambda pair, draw, n: ("", pair[1])),
    "blank target": ("blank", lambda pair, draw, n: (pair[0], " \u3000")),
    "UTF-8 read as Windows-1252": (
        "broken",
        lambda pair, draw, n: (f"{pair[0]} Schön!".encode().decode("cp1252", errors="replace"), pair[1]),
    ),
    "letters that became ?": ("broken", lambda pair, draw, n: (f"{pair[0]} Sch?n gr?n.", pair[1])),
    "bytes that became U+FFFD": ("broken", lambda pair, draw, n: (pair[0], f"caf\ufffd {pair[1]}")),
    "control characters": ("broken", lambda pair, draw, n: (pair[0], pair[1].replace(" ", " \x07", 1) + "\x1b")),
    "tags": ("markup", lambda pair, draw, n: (f'<p class="x{n}">{pair[0]}</p>', pair[1])),
    "entities": ("markup", lambda pair, draw, n: (pair[0], f"{pair[1]} &quot;{n}&#39;")),
    "pieces of a tokenizer": ("markup", lambda pair, draw, n: (pair[0], f"well@@ {pair[1]}")),
    "subtitle codes": ("markup", lambda pair, draw, n: (rf"{{\an8}}{pair[0]}", pair[1])),
    "a whole page in a line": (
        "max_words",
        lambda pair, draw, n: (" ".join([pair[0]] * 201), " ".join([pair[1]] * 201)),
    ),
    "no spaces": ("max_word_length", lambda pair, draw, n: (_glued(pair[0]), pair[1])),
    "a cut translation": ("max_ratio", lambda pair, draw, n: (f"{pair[0]} {pair[0]} {pair[0]} {pair[0]}", pair[1][:3])),
    "a copy of the source": ("copies", lambda pair, draw, n: (pair[0], pair[0])),
    "a copy in capitals": ("copies", lambda pair, draw, n: (pair[0], _last(pair[0].upper(), f" {n}"))),
    "another script": ("script", lambda pair, draw, n: (pair[0], pair[1].lower().translate(_CYRILLIC))),
    "sides exchanged": ("language", lambda pair, draw, n: (pair[1], pair[0])),
    "a third language": (
        "language",
        lambda pair, draw, n: (pair[0], f"{draw.choice(_FRENCH)} {draw.choice(_PLACES)}."),
    ),
    "decomposed letters": (
        "normalize",
        lambda pair, draw, n: (unicodedata.normalize("NFD", f"Ähm, {pair[0]}"), pair[1]),
    ),
    "no-break spaces": ("tidy", lambda pair, draw, n: (pair[0].replace(" ", "\u00a0"), pair[1])),
    "invisible characters": ("tidy", lambda pair, draw, n: (pair[0], f"\ufeff{pair[1][:2]}\u200b{pair[1][2:]}")),
    "line ends in a sentence": ("tidy", lambda pair, draw, n: (pair[0].replace(" ", "\u2028", 1), pair[1])),
    "other numbers": ("numbers", lambda pair, draw, n: (f"{pair[0]} {n + 1000}", f"{pair[1]} {n + 2000}")),
    "the same pair again": ("duplicates", lambda pair, draw, n: pair),
    "the same but for case and marks": (
        "duplicates",
        lambda pair, draw, n: (_last(pair[0].upper(), " !!"), _last(pair[1].lower(), "...")),
    ),
}


def plant(pairs: list[SoundPair], number: int) -> tuple[list[SoundPair], dict[str, list[int]]]:
    """The pairs with so many faults of each kind between them, and by kind the lines on which they stand."""
    draw = random.Random(1)
    # Long enough to be seen as German or English, and that a duplicate comes after what it repeats.
    suitable = [
        pair for pair in pairs[: len(pairs) // 2] if min(len(pair[0]), len(pair[1])) >= 30 and "?" not in pair[0]
    ]
    mixed: list[tuple[SoundPair, str]] = [(pair, "") for pair in pairs]
    for kind, (_, make) in FAULTS.items():
        for n, pair in enumerate(draw.sample(suitable, number)):
            place = draw.randrange(len(pairs) // 2, len(mixed) + 1)
            mixed.insert(place, (make(pair, draw, n), kind))
    lines: dict[str, list[int]] = {kind: [] for kind in FAULTS}
    for line, (_, kind) in enumerate(mixed, 1):
        if kind:
            lines[kind].append(line)
    return [pair for pair, _ in mixed], lines
