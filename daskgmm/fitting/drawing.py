"""A uniform sample of the rows that is drawn while a fit's first pass is run, so that none is made for it."""

from __future__ import annotations

from daskgmm.engine.sample import FirstLook, LookRequest, look_request
from daskgmm.fitting.in_memory import Rows
from daskgmm.storage.dataset import RowBlocks

__all__ = ["Drawing"]


class Drawing:
    """Rows to be drawn in the next pass, and the rows once they are there.

    Which rows follows from the seed and the blocks alone: a fit that goes on from a checkpoint draws the same.

    Parameters
    ----------
    blocks : RowBlocks
    size : int
        Rows to draw; all of positive weight where there are no more.
    entropy : int
        Seed.
    """

    def __init__(self, blocks: RowBlocks, *, size: int, entropy: int) -> None:
        self._request = look_request(
            n_samples=blocks.n_samples,
            n_features=blocks.n_features,
            size=size,
            entropy=entropy,
            weighted=blocks.weights is not None,
        )
        self.rows: Rows | None = None
        """None until a pass has drawn them."""

    @property
    def request(self) -> LookRequest | None:
        """What a pass is asked to draw; None once one has."""
        return self._request if self.rows is None else None

    def take(self, look: FirstLook) -> None:
        """Keep what a pass has drawn."""
        self.rows = Rows(look.rows, look.weights)
