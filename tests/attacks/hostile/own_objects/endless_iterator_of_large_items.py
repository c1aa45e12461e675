# yields a megabyte for ever
# entry_point: Finder
class Finder:
    def __iter__(self):
        while True:
            yield "x" * 1_000_000

# test:
assert list(Finder()) == ["x"]
