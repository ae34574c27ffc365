"""The four ids that every vocabulary starts with; tokenizer, batches, models and searches agree on them here."""

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
