"""What is wrong with corpora, seen without training: `seq2seq doctor` prints it, `seq2seq fit` a part of it."""
