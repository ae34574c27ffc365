"""`seq2seq score-model`: how probable given translations are to a model."""

import json
import math
import sys

from seq2seq.commands.arguments import Parser, add_model_arguments, loaded_model
from seq2seq.commands.files import read_parallel

DESCRIPTION = """\
Prints the log-probability (natural logarithm) of each given translation under a model, or an ensemble of several, and
its number of tokens, the end of sentence among them: LOG_PROBABILITY <tab> NUM_TOKENS. With --format jsonl objects with
log_probability, tokens and token_log_probabilities. The perplexity per token over all comes on standard error. Both
files hold one sentence a line (.gz is read too)."""

LINES_PER_CHUNK = 2048


def main(argv: list[str]) -> None:
    """Score the pairs of lines named by `argv`."""
    parser = Parser("score-model", DESCRIPTION)
    add_model_arguments(parser)
    parser.add_argument("--source", required=True, metavar="FILE", help="the source sentences, one a line")
    parser.add_argument("--target", required=True, metavar="FILE", help="their translations, line for line")
    parser.add_argument("--format", choices=["text", "jsonl"], default="text", help="default text")
    arguments = parser.parse(argv)
    sources, targets = read_parallel(arguments.source, arguments.target)  # first: torch takes its seconds to import

    from seq2seq.translator import Translator

    translator = Translator(loaded_model(arguments), max_tokens_per_batch=arguments.max_tokens_per_batch)
    total, num_tokens = 0.0, 0
    for start in range(0, len(sources), LINES_PER_CHUNK):
        end = start + LINES_PER_CHUNK
        for reading in translator.read(sources[start:end], targets[start:end]):
            log_probability = math.fsum(reading.log_probabilities)
            total += log_probability
            num_tokens += len(reading.log_probabilities)
            if arguments.format == "text":
                print(f"{log_probability:.6f}\t{len(reading.log_probabilities)}")
            else:
                entry = {
                    "log_probability": round(log_probability, 6),
                    "tokens": reading.tgt_pieces,
                    "token_log_probabilities": [round(log_p, 6) for log_p in reading.log_probabilities],
                }
                print(json.dumps(entry, ensure_ascii=False))
        sys.stdout.flush()
    perplexity = f"{math.exp(-total / num_tokens):.4f}" if num_tokens else "none"
    print(f"perplexity per token: {perplexity} ({num_tokens:,} tokens of {len(sources):,} pairs)", file=sys.stderr)
