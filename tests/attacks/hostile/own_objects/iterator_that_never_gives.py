# has an iterator that computes for ever
# entry_point: Finder
class Finder:
    def __iter__(self):
        while True:
            pass
        yield 1

# test:
assert list(Finder()) == [1]
