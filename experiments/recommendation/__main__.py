"""The command line of `python -m experiments.recommendation`."""

import sys

from experiments.command import main
from experiments.recommendation import experiment

sys.exit(main(experiment))
