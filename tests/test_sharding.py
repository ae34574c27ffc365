"""What cannot be sharded. That sharding changes nothing is in `test_module.py` and `test_resume.py`."""

from unittest.mock import sentinel

import pytest

from seq2seq.models.attention import AttentionEncoderDecoder
from seq2seq.training.sharding import shard


def test_a_weight_that_is_a_single_number_is_refused() -> None:
    model = AttentionEncoderDecoder(10, 10, energy="cosine", d_embedding=4, d_model=4)
    message = (
        "^the weight energy.log_sharpness is a single number, which trainer.strategy fsdp cannot share out; use ddp$"
    )
    with pytest.raises(ValueError, match=message):
        shard(model, sentinel.ranks)
