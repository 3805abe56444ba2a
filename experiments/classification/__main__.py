"""The command line of `python -m experiments.classification`."""

import sys

from experiments.classification.experiment import Config, run
from experiments.command import main

sys.exit(main(Config, run))
