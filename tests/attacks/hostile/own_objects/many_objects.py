# returns half a million objects
# entry_point: Finder
class Thing:
    pass


class Finder:
    def parts(self):
        return [Thing() for _ in range(500_000)]

# test:
assert len(Finder().parts()) == 3
