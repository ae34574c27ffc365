"""Scores of translations, by sacreBLEU on raw text; no torch."""
