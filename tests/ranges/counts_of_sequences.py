"""Arguments of networks over time, of texts and of metrics of series that are counts."""

import numpy as np

from jaxnet import metrics, nn
from tests.ranges.calls import spread

SCORES, EVENTS = [0.1, 0.9, 0.2, 0.4], [0, 1, 0, 0]
CELLS = (nn.gru, nn.lstm, nn.elman, nn.min_gru)

# (function, argument) -> (call, a number inside the range, a number outside).
COUNTS = {
    **{(cell, "in_dim"): (spread(cell, "in_dim", hidden_dim=2), 2, 0) for cell in CELLS},
    **{(cell, "hidden_dim"): (spread(cell, "hidden_dim", 2), 2, 0) for cell in CELLS},
    (nn.rnn, "dims"): (lambda value: nn.rnn([2, value, 2]), 2, 0),
    (nn.conv1d, "dims"): (lambda value: nn.conv1d([value, 8, 5]), 2, 0),
    (nn.conv1d, "kernel_sizes"): (lambda value: nn.conv1d([1, 8, 5], kernel_sizes=[value]), 3, 0),
    (nn.bag_of_embeddings, "dims"): (lambda value: nn.bag_of_embeddings(9, [value, 2]), 2, 0),
    (nn.attention, "dim"): (spread(nn.attention, "dim", num_heads=1), 2, 0),
    (nn.attention, "num_heads"): (spread(nn.attention, "num_heads", 4), 2, 0),
    (nn.positional_encoding, "dim"): (spread(nn.positional_encoding, "dim"), 2, 0),
    (nn.last, "num_reversed"): (spread(nn.last, "num_reversed"), 1, -1),
    (nn.resample, "num_steps"): (spread(nn.resample, "num_steps"), 2, 0),
    (nn.embedding, "num_tokens"): (spread(nn.embedding, "num_tokens", dim=2), 2, 0),
    (nn.embedding, "dim"): (spread(nn.embedding, "dim", 3), 2, 0),
    (nn.embedding_bag, "num_tokens"): (spread(nn.embedding_bag, "num_tokens", dim=2), 2, 0),
    (nn.embedding_bag, "dim"): (spread(nn.embedding_bag, "dim", 3), 2, 0),
    (nn.bag_of_embeddings, "num_tokens"): (
        spread(nn.bag_of_embeddings, "num_tokens", dims=[2, 2]),
        2,
        0,
    ),
    (nn.conv, "dilation"): (lambda value: nn.conv(1, 1, dilation=(value, 1)), 2, 0),
    (nn.random_convolutions, "in_channels"): (
        spread(nn.random_convolutions, "in_channels", time=10, num_features=84),
        2,
        0,
    ),
    (nn.random_convolutions, "time"): (
        spread(nn.random_convolutions, "time", 1, num_features=84),
        10,
        0,
    ),
    (nn.random_convolutions, "num_features"): (
        spread(nn.random_convolutions, "num_features", 1, 10),
        84,
        83,
    ),
    (nn.concatenate_series, "num_rows"): (
        spread(nn.concatenate_series, "num_rows", [np.zeros((4, 1))]),
        2,
        0,
    ),
    (nn.carried, "batch_size"): (
        spread(nn.carried, "batch_size", nn.recurrent(nn.gru(2, 2))),
        2,
        0,
    ),
    **{
        (function, "max_buffer"): (spread(function, "max_buffer", SCORES, EVENTS), 1, -1)
        for function in (metrics.vus_roc, metrics.vus_pr)
    },
    **{
        (function, "num_thresholds"): (
            spread(function, "num_thresholds", SCORES, EVENTS, max_buffer=1),
            2,
            1,
        )
        for function in (metrics.vus_roc, metrics.vus_pr)
    },
    (metrics.hits_at_false_alarms, "budget"): (
        spread(metrics.hits_at_false_alarms, "budget", [SCORES], [EVENTS]),
        1,
        -1,
    ),
}
