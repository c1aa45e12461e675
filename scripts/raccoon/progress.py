"""The progress bar of long work: drawn anew in a terminal, a line now and then in a log.

A bar that redraws itself with carriage returns is one endless line in a file or in a container's log.
"""

import sys
from typing import Any

LOG_SECONDS = 30.0  # between two lines where nobody watches; work that is done sooner prints none


def progress_bar(**options: Any) -> Any:
    """tqdm(**options) in a terminal; elsewhere one that prints whole lines, the first after LOG_SECONDS."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(dynamic_ncols=True, **options)

    class LineBar(tqdm):
        """Every display is a line of its own; the last one is left out, as what comes next tells that it ended."""

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            text = str(self) if msg is None else msg
            print(text, end="\n" if text else "", file=sys.stderr, flush=True)

    return LineBar(mininterval=LOG_SECONDS, maxinterval=LOG_SECONDS, delay=LOG_SECONDS, ascii=True, leave=False,
                   **options)
