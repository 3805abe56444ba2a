"""The command line of `python -m experiments.backpropagation`."""

import sys

from experiments.backpropagation.experiment import Config, run
from experiments.command import main

sys.exit(main(Config, run))
