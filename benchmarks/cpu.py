"""The rows of a CPU, most important first: `python -m benchmarks.cpu --help`.

The default commands of the experiments, which need the extra `experiments`, and the comparisons of
speed, whose peers PyTorch and ClustPy may be in another environment. It stops in time. Data sets
are read from `JAXNET_DATA`. Run it on a machine that does nothing else: the file of results holds
the load average at its start. Files belong in `benchmarks/results/`; `python -m benchmarks.table`
draws the table of docs/results.md from all of them.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Row, rows_parser, run_command
from benchmarks.rows.commands import TORCH_PYTHON

_MLP = "scikit-learn's MLPClassifier {} (`experiments.tables`, other splits)"

# Other parts add their rows here, each where its importance puts it; `benchmarks/rows/__init__.py`
# says what a row is.
ROWS = (
    Row("known_answers", "reproducibility", "python -m jaxnet.doctor", "known answers", 60),
    Row(
        "digits",
        "commands",
        "digits, mlp 64-512-10, 10 seeds in one program",
        _MLP.format("0.9728 ± 0.0046"),
        120,
        15,
    ),
    Row(
        "speed_small",
        "commands",
        "64-128-10 on digits, 20 epochs, Adam: time of the peer over time of jaxnet",
        "scikit-learn and PyTorch in the same rounds",
        180,
        40,
    ),
    Row(
        "speed_large",
        "commands",
        "784-512-10 on MNIST, one epoch, Adam: time of the peer over time of jaxnet",
        "scikit-learn and PyTorch in the same rounds",
        300,
        90,
    ),
    Row(
        "member_sizes",
        "populations",
        "1 000 networks on digits of 12 sizes and 4 optimizers, 20 epochs, over two devices",
        "the same one after the other by jitted fit, and MLPClassifier",
        400,
        120,
    ),
    Row(
        "two_devices",
        "populations",
        "512 networks 64-32-10 on digits, 20 epochs: time on one device over that on two",
        "2 devices for 2 cores",
        200,
        60,
    ),
    Row(
        "reconstruction",
        "commands",
        "digits, autoencoder with a code of 10, 10 seeds",
        "as many principal components, beside it",
        180,
        25,
    ),
    Row(
        "dec",
        "commands",
        "digits, DEC, 10 seeds in one program",
        "k-means 0.7917 ± 0.0023",
        240,
        30,
    ),
    Row(
        "breast_cancer",
        "commands",
        "breast cancer, 100 networks of a repeated cross-validation in one program",
        _MLP.format("0.9689 ± 0.0141"),
        120,
        10,
    ),
    Row("line", "commands", "a line, L-BFGS", "least squares, equal", 60, 10),
    Row(
        "kill_and_resume",
        "reproducibility",
        "a run killed with -9 five times and resumed",
        "the run that nothing interrupted, bitwise",
        300,
        60,
    ),
    Row(
        "backpropagation",
        "commands",
        "three networks worked by hand: largest relative difference of a derivative",
        "jax.grad",
        60,
        10,
    ),
    Row(
        "bfloat16",
        "commands",
        "digits as above in bfloat16",
        "float32 0.9789 ± 0.0037",
        240,
        20,
    ),
    Row(
        "float16",
        "commands",
        "digits as above in float16 with a dynamic loss scale",
        "float32 0.9789 ± 0.0037",
        240,
        20,
    ),
    Row("wine", "commands", "wine, mlp, 10 seeds", _MLP.format("0.9792 ± 0.0199"), 60, 10),
    Row("iris", "commands", "iris, mlp, 10 seeds", _MLP.format("0.9617 ± 0.0394"), 60, 10),
    Row(
        "diabetes",
        "commands",
        "diabetes, mlp, 10 seeds: r2",
        "least squares, beside it in its report",
        60,
        10,
    ),
    Row("kmeans", "commands", "digits, k-means, 10 seeds", "DEC, above", 60, 10),
    Row("digits_cnn", "commands", "digits, cnn, 3 seeds", "the mlp above", 120, 15),
    Row(
        "speed_kmeans",
        "commands",
        "k-means of MNIST, 70 000 x 784, from the same centers: time of the peer over jaxnet's",
        "scikit-learn in the same rounds",
        240,
        60,
    ),
    Row(
        "speed_vae",
        "commands",
        "a VAE 64-128-8 on digits, 200 epochs: time of the peer over time of jaxnet",
        "the same program in JAX by hand",
        180,
        40,
    ),
    Row(
        "speed_rbm",
        "commands",
        "an RBM 64 x 128 by CD-1 on digits, 200 epochs: time of the peer over time of jaxnet",
        "the same program in JAX by hand",
        180,
        40,
    ),
    Row(
        "speed_large_sgd",
        "commands",
        "784-512-10 on MNIST, one epoch, SGD: time of the peer over time of jaxnet",
        "scikit-learn and PyTorch in the same rounds",
        300,
        90,
    ),
    Row(
        "speed_cnn",
        "commands",
        "30 steps of the cnn of Fashion-MNIST, batch 128: time of the peer over time of jaxnet",
        "PyTorch in the same rounds",
        300,
        60,
    ),
    Row(
        "speed_predict",
        "commands",
        "outputs of the same network for 3 840 images: time of the peer over time of jaxnet",
        "PyTorch in the same rounds",
        180,
        40,
    ),
    Row("logs", "commands", "generated logs, 5 seeds", "naive Bayes, beside it", 240, 30),
    Row(
        "speed_dec",
        "commands",
        "DEC of digits, 64-500-500-2000-10, 50 + 50 epochs: time of the peer over jaxnet's",
        "ClustPy in the same round",
        300,
        60,
    ),
    Row(
        "optimizers",
        "commands",
        "every optimizer of Optax at its default rate on digits, 10 seeds",
        "none",
        900,
        300,
    ),
    Row(
        "tables",
        "commands",
        "the default network for nine tables",
        "scikit-learn's classifiers on the same splits",
        900,
        240,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows; the exit status is 1 where one failed.

    Args:
        arguments: of the command line; None takes those of the process.
    """
    parser = rows_parser("benchmarks.cpu", __doc__ or "", ROWS, minutes=20.0)
    parser.add_argument(
        "--torch-python",
        type=Path,
        help="Python interpreter that has PyTorch or ClustPy; without, these peers are left out",
    )
    options = parser.parse_args(arguments)
    environment = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}
    if options.torch_python is not None:
        if not os.access(options.torch_python, os.X_OK):
            parser.error(f"--torch-python: {options.torch_python} is not a program")
        environment[TORCH_PYTHON] = str(options.torch_python.absolute())
    command = ["python", "-m", "benchmarks.cpu", *(arguments or sys.argv[1:])]
    return run_command(ROWS, options, command, environment)


if __name__ == "__main__":
    sys.exit(main())
