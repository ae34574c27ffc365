"""Finished models for other programs. One module per format: `write(bundle, folder)` puts the model into a folder."""
