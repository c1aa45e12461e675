"""A stop signal that waits until the current step is finished."""

import os
import signal
from typing import Any


class StopSignal:
    """Notes the first SIGTERM or SIGINT; the trainer reads the note between two steps.

    A second signal has its default effect: it ends the process at once. `number` is the first signal's, or 0.
    """

    def __init__(self) -> None:
        self.number = 0

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name if self.number else ""

    def install(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.number = number
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        os.write(2, f"\n{self.name}: finishing the step and saving; a second signal ends the run at once\n".encode())
