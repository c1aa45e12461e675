# returns an object that yields for ever
# entry_point: Finder
class Endless:
    def __iter__(self):
        while True:
            yield 1


class Finder:
    def parts(self):
        return Endless()

# test:
assert list(Finder().parts()) == [1, 2, 3]
