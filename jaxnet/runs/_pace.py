"""How many steps a training takes before it looks for signals and non-finite numbers."""

import dataclasses

_SECONDS_OF_A_PIECE = 0.5


@dataclasses.dataclass
class Pace:
    """Number of steps in a piece, from the time that the last pieces took.

    Each piece computes the order of its epoch again, which takes longer than many steps where the
    examples are many. So pieces grow beyond their usual time for as long as longer pieces are
    clearly faster, up to ten times that time.
    """

    num_steps: int = 1
    rate: float = 0.0

    def measure(self, num_steps: int, seconds: float) -> None:
        """Choose the next number from the seconds that some steps have taken."""
        rate = num_steps / max(seconds, 1e-6)
        usual = max(1, int(rate * _SECONDS_OF_A_PIECE))
        if rate > 1.2 * self.rate and seconds < 5 * _SECONDS_OF_A_PIECE:
            usual = max(usual, 2 * num_steps)
        elif seconds < 10 * _SECONDS_OF_A_PIECE:
            # Growing has ended; the length at which it did is kept.
            usual = max(usual, min(num_steps, self.num_steps))
        self.num_steps, self.rate = usual, rate
