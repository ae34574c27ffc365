"""Gold alignments and the alignment error rate, against the definition by hand."""

import pytest

from seq2seq.analysis.alignment import Gold, error_rate, parse_gold


def test_sure_and_possible_links_are_read() -> None:
    gold = parse_gold(" 0-0 1?2 10p3 ")
    assert gold == Gold(frozenset({(0, 0)}), frozenset({(0, 0), (1, 2), (10, 3)}))
    assert parse_gold("") == Gold(frozenset(), frozenset())


@pytest.mark.parametrize("link", ["1x2", "1-", "a-b", "-1-2", "1-2-3"])
def test_what_is_no_link_is_refused(link: str) -> None:
    with pytest.raises(
        ValueError, match=f"^'{link}' is no link; write 0-0 for a sure one, 0\\?1 or 0p1 for a possible"
    ):
        parse_gold(f"0-0 {link}")


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ({(0, 0), (1, 1)}, 0.0),  # all sure ones
        ({(0, 0), (1, 1), (2, 1)}, 0.0),  # and a possible one: nothing wrong
        ({(0, 0)}, 1 - 2 / 3),  # one sure one is missing: 1 - (1 + 1) / (1 + 2)
        ({(5, 5)}, 1.0),
        ({(2, 1)}, 1 - 1 / 3),
    ],
)
def test_the_error_rate_is_that_of_och_and_ney(links: set[tuple[int, int]], expected: float) -> None:
    assert error_rate([(links, parse_gold("0-0 1-1 2?1"))]) == pytest.approx(expected)


def test_links_are_counted_over_all_sentences() -> None:
    pairs = [({(0, 0)}, parse_gold("0-0")), ({(0, 1), (1, 0)}, parse_gold("0-0"))]
    assert error_rate(pairs) == pytest.approx(1 - 2 / 5)
    assert error_rate([(set(), parse_gold("0?0"))]) is None
