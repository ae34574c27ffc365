"""Cleaning of parallel text: rules that are off unless named, and a report of what each has removed."""
