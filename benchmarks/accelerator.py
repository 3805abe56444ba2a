"""The rows of an accelerator, most important first: `python -m benchmarks.accelerator --help`.

Needs jax, optax, numpy, scipy, jaxtyping and safetensors, runs from a source tree, and stops in
time. Data sets are read from `JAXNET_DATA`. The file of results belongs in `benchmarks/results/`;
`python -m benchmarks.table` draws the table of docs/results.md from all of them.
"""

import os
import sys
from collections.abc import Sequence

from benchmarks.harness import Row, rows_parser, run_command

# Sums in a fixed order and no choice of algorithms by timing, so that results repeat.
_REPEATABLE = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"

ROWS = (
    Row(
        "known_answers",
        "reproducibility",
        "python -m jaxnet.doctor",
        "known answers",
        60,
    ),
    Row(
        "population",
        "throughput",
        "100 000 networks 64-32-10 on digits, 20 epochs, each with its own seed and rate",
        "the same networks one after the other, each by jitted fit",
        150,
    ),
    Row(
        "precision",
        "throughput",
        "training steps of 784-4096-4096-10, batches of 8192, Adam",
        "the rate of a matrix product of 8192 x 8192 in bfloat16 on the same device",
        90,
    ),
    Row(
        "kill_and_resume",
        "reproducibility",
        "a run killed with -9 five times and resumed",
        "the run that nothing interrupted, bitwise",
        120,
    ),
    Row(
        "dcn",
        "clustering",
        "DCN with soft resets, MNIST 70 000, 784-500-500-2000-10, augmented, 10 seeds",
        "accuracy 0.9640 ± 0.0012 (Miklautz et al. 2025)",
        560,
    ),
    Row(
        "dec",
        "clustering",
        "DEC with soft resets, MNIST 70 000, 784-500-500-2000-10, augmented, 10 seeds",
        "accuracy 0.843 (Xie, Girshick, Farhadi 2016)",
        500,
    ),
    Row(
        "permutation_invariant",
        "quality",
        "MNIST, mlp with dropout and max-norm, 5 seeds",
        "error 0.95 % (Srivastava et al. 2014)",
        300,
    ),
    Row(
        "deep_autoencoder",
        "quality",
        "MNIST, 784-1000-500-250-30, 5 seeds, squared error of a test image",
        "2.28 (Martens 2010)",
        300,
    ),
    Row(
        "cd25",
        "quality",
        "MNIST, RBM with 500 hidden units by CD-25, 5 seeds, log-probability of test images",
        "-86.3 (Salakhutdinov, Murray 2008)",
        300,
    ),
    Row(
        "vat",
        "semi_supervised",
        "MNIST with 100 labels, virtual adversarial training, entropy, 10 draws of labels",
        "error 1.36 ± 0.03 % (Miyato et al. 2018)",
        300,
        60,
    ),
    Row(
        "ladder",
        "semi_supervised",
        "MNIST with 100 labels, ladder network, 784-1000-500-250-250-250-10, 10 draws of labels",
        "error 1.06 ± 0.37 % (Rasmus et al. 2015)",
        300,
        60,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows; the exit status is 1 where one failed.

    Args:
        arguments: of the command line; None takes those of the process.
    """
    parser = rows_parser("benchmarks.accelerator", __doc__ or "", ROWS, minutes=8.0)
    parser.add_argument(
        "--fast",
        action="store_true",
        help="let XLA choose the fastest algorithms, whose sums need not repeat",
    )
    options = parser.parse_args(arguments)
    flags = os.environ.get("XLA_FLAGS", "")
    environment = {"XLA_FLAGS": flags if options.fast else f"{flags} {_REPEATABLE}".strip()}
    command = ["python", "-m", "benchmarks.accelerator", *(arguments or sys.argv[1:])]
    return run_command(ROWS, options, command, environment)


if __name__ == "__main__":
    sys.exit(main())
