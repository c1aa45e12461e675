# makes its own instances yield for ever
# entry_point: Finder
class Finder:
    def __iter__(self):
        return self

    def __next__(self):
        return 1

# test:
assert list(Finder()) == [1, 2, 3]
