# lifts the recursion limit and recurses until something breaks
# modes: one
# expect: FAIL
# timeout: 2
import sys

sys.setrecursionlimit(10**9)


class Deep:
    def __repr__(self):
        return f"{self!r}"


def add(a, b):
    return repr(Deep())
