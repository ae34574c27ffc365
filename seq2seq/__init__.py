"""Train, translate with and compare sequence-to-sequence architectures on translation."""

__version__ = "0.1.0"
