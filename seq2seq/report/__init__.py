"""The report of a comparison: one HTML page that works offline, the same as Markdown, and its numbers as JSON."""

from seq2seq.report.render import write_report

__all__ = ["write_report"]
