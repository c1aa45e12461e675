"""The progress bar of long work: redrawn in a terminal, one line now and then in a log.

A bar that redraws itself with carriage returns becomes one very long line in a file or in a container's log.
"""

import sys
from typing import Any

LOG_SECONDS = 30.0  # between two lines in a log; shorter work prints none


def progress_bar(**options: Any) -> Any:
    """tqdm(**options) in a terminal; elsewhere a bar that prints whole lines, the first after LOG_SECONDS."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(dynamic_ncols=True, **options)

    class LineBar(tqdm):
        """Prints every display as a line of its own, but not the last one: the next message shows that it ended."""

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            text = str(self) if msg is None else msg
            print(text, end="\n" if text else "", file=sys.stderr, flush=True)

    return LineBar(
        mininterval=LOG_SECONDS, maxinterval=LOG_SECONDS, delay=LOG_SECONDS, ascii=True, leave=False, **options
    )
