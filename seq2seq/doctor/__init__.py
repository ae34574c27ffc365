"""`seq2seq doctor`: what is wrong with a configuration and its corpora, before training time is spent."""
