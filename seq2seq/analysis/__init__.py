"""What happens inside a trained model, measured on text: `seq2seq analyze`. One file measures one thing."""
