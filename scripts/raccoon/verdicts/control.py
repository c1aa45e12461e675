"""Exceptions that end a run of a test, whoever catches them. None is an Exception, so that few tests do."""


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
