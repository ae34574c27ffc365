"""One attention map as SVG, for a file of its own. The pages draw theirs in the browser: they may hold thousands."""

import base64
import html
import math
from collections.abc import Mapping
from typing import Any

from seq2seq.report.chart import CHARACTER, text_at

CELL = 18


def attention_map(one: Mapping[str, Any]) -> str:
    """Rows are what looks, columns what is looked at; stronger colour is more.

    Args:
        one: number, name and the fields of `results.Attention`.

    Returns:
        An <svg> element.
    """
    keys, queries = one["source_pieces"], one["target_pieces"]
    weights = base64.b64decode(one["weights"])
    longest_key = CHARACTER * max(map(len, keys))
    left, top = math.ceil(CHARACTER * max(map(len, queries)) + 10), math.ceil(0.8 * longest_key + 10)
    width, height = left + CELL * len(keys) + math.ceil(0.6 * longest_key), top + CELL * len(queries) + 2
    parts = []
    for s, key in enumerate(keys):
        x, y = left + (s + 0.6) * CELL, top - 6
        parts.append(f'<text x="{x:.1f}" y="{y}" transform="rotate(-55 {x:.1f} {y})">{html.escape(key)}</text>')
    for t, query in enumerate(queries):
        y = top + t * CELL
        parts.append(text_at("query", left - 6, y + 13, query, "end"))
        for s, key in enumerate(keys):
            weight = weights[t * len(keys) + s] / 255
            place = f'x="{left + s * CELL}" y="{y}" width="{CELL - 1}" height="{CELL - 1}"'
            title = f"<title>{html.escape(f'{query} ← {key}: {weight:.2f}')}</title>"
            parts.append(f'<rect class="cell" {place} fill-opacity="{0.05 + 0.95 * weight:.3f}">{title}</rect>')
    description = html.escape(f"Attention of sentence {one['number']}, {one['name']}: each row over the columns")
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{description}">\n{body}\n</svg>'
