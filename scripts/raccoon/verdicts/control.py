"""What ends a run of a test, whoever catches it (none is an Exception, so that few tests do), and an empty answer."""


class Deadline(BaseException):
    """The wall time is over."""


class CallerGone(BaseException):
    """The caller has ended, so there is nothing left to judge."""


class ChildGone(BaseException):
    """The child has ended or sends invalid data, so the test cannot continue."""


class Diverged(BaseException):
    """The test asks for something else than it was planned to ask for, so its answers must be asked for one by one."""


class NotCarried(BaseException):
    """A value of the test that cannot be sent to the code (an object of its own class)."""


class NotPlanned(BaseException):
    """The test needs an answer to go on, so its requests cannot be known beforehand."""


OURS = (Deadline, CallerGone, ChildGone, Diverged, NotCarried, NotPlanned)


class Blank:
    """The answer to every request of a rehearsal: whatever is done with it goes on, and equals nothing.

    `compared` gets what the test compares it with, or gives to one of its operators.
    """

    __slots__ = ("compared",)

    def __init__(self, compared: list):
        self.compared = compared

    def __getattr__(self, name: str):
        return self

    def __call__(self, *arguments, **keywords):
        self.compared.extend(arguments)
        return self

    def __iter__(self):
        return iter(())

    def __len__(self) -> int:
        return 0

    def __eq__(self, other) -> bool:
        self.compared.append(other)
        return False

    def __hash__(self) -> int:
        return 0

    def __str__(self) -> str:
        return ""

    def __int__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 0.0

    def __next__(self):
        raise StopIteration

    __index__ = __int__
    __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __call__
    __mod__ = __pow__ = __floordiv__ = __and__ = __or__ = __xor__ = __abs__ = __neg__ = __round__ = __call__
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
