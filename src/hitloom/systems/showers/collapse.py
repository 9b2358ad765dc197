"""Notice a network whose similarity is the same for all pairs: a rate that is too high can leave it so for good."""

from __future__ import annotations

from collections.abc import Mapping

LEAST_SHARE = 0.01  # of the variance of the target
NUM_EPOCHS = 5  # a network that has just begun may be flat for so many


class CollapseWatch:
    """Follows the variance of the similarity over pairs from epoch to epoch.

    The network has collapsed when the variance is below one hundredth of the target's, after it was above, or in five
    validated epochs from the first.
    """

    def __init__(self) -> None:
        self.was_spread = False
        self.num_flat = 0

    def __call__(self, values: Mapping[str, float]) -> str | None:
        """Take in the values of an epoch; return a line of warning, None where all is well or nothing is known."""
        found, wanted = values.get("val_similarity_variance"), values.get("val_target_variance")
        if found is None or not wanted:
            return None
        if found >= LEAST_SHARE * wanted:
            self.was_spread = True
            self.num_flat = 0
            return None
        self.num_flat += 1
        if not self.was_spread and self.num_flat < NUM_EPOCHS:
            return None
        return (
            f"the network has collapsed: its similarity is nearly the same for all pairs (variance {found:.2g}, that "
            f"of the target {wanted:.2g}); mend: a smaller training.lr, or more warm-up"
        )
