"""Networks over time on small sequences, for the laws that all obey."""

from typing import Any, NamedTuple

import numpy as np

import jaxnet as jn


class OverTime(NamedTuple):
    """A network of sequences, the shape of a step, how many tokens there are, dropout or not."""

    network: Any
    step: tuple[int, ...]
    num_tokens: int = 0
    is_random: bool = False

    def example(self, shape: tuple[int, ...], seed: int = 0) -> Any:
        """Values of sequences `(*shape, *step)`."""
        generator = np.random.default_rng(seed)
        if self.num_tokens:
            return generator.integers(self.num_tokens, size=shape, dtype=np.int32)
        return generator.normal(size=(*shape, *self.step)).astype(np.float32)


def _networks_over_time() -> dict[str, OverTime]:
    nn = jn.nn
    forward, backward = nn.recurrent(nn.gru(3, 4)), nn.recurrent(nn.gru(3, 4), reverse=True)
    return {
        "each_step": OverTime(nn.each_step(jn.mlp([3, 4, 2], dropout=0.3)), (3,), is_random=True),
        "gru": OverTime(forward, (3,)),
        "lstm": OverTime(nn.recurrent(nn.lstm(3, 2)), (3,)),
        "min_gru_reversed": OverTime(nn.recurrent(nn.min_gru(3, 4), reverse=True), (3,)),
        "attention": OverTime(nn.attention(4, 2, causal=True), (4,)),
        "positional_encoding": OverTime(nn.positional_encoding(4), (4,)),
        "elman_reversed": OverTime(nn.recurrent(nn.elman(3, 4), reverse=True), (3,)),
        "bidirectional": OverTime(nn.bidirectional(forward, backward), (3,)),
        "residual": OverTime(nn.residual(nn.recurrent(nn.elman(3, 3))), (3,)),
        "conv": OverTime(jn.conv(3, 2, (3,), strides=2), (3,)),
        "causal_conv": OverTime(jn.conv(3, 2, (2,), dilation=2, padding="CAUSAL"), (3,)),
        "max_pool": OverTime(jn.max_pool((2,)), (3,)),
        "mean_pool": OverTime(jn.mean_pool((2,), padding="SAME"), (3,)),
        "last": OverTime(nn.last(num_reversed=1), (3,)),
        "mean_over_time": OverTime(nn.mean_over_time(), (3,)),
        "sum_over_time": OverTime(nn.sum_over_time(), (3,)),
        "sqrtn_over_time": OverTime(nn.sqrtn_over_time(), (3,)),
        "max_over_time": OverTime(nn.max_over_time(), (3,)),
        "token_dropout": OverTime(nn.token_dropout(0.4), (3,), is_random=True),
        "embedding": OverTime(nn.embedding(7, 3), (), 7),
        "embedding_bag": OverTime(nn.embedding_bag(7, 3), (), 7, True),
        "rnn": OverTime(nn.rnn([3, 4, 2], dropout=0.3), (3,), is_random=True),
        "random_convolutions": OverTime(nn.random_convolutions(3, 20, num_features=168), (3,)),
        "conv1d": OverTime(nn.conv1d([3, 4, 2], kernel_sizes=(3, 2), dropout=0.3), (3,), 0, True),
        "resample": OverTime(nn.resample(4), (3,)),
        "spec_augment": OverTime(
            jn.audio.spec_augment(max_time=2, max_frequency=2), (3,), is_random=True
        ),
        "word_recognizer": OverTime(
            jn.audio.word_recognizer([3, 4, 2], num_steps=4, hidden_dim=4), (3,), is_random=True
        ),
        "bag_of_embeddings": OverTime(
            nn.bag_of_embeddings(7, [4, 2], dropout=0.2, token_dropout=0.3), (), 7, True
        ),
    }


OVER_TIME = _networks_over_time()
