# returns new objects call after call
# entry_point: Finder
class Thing:
    pass


class Finder:
    def parts(self):
        return [Thing() for _ in range(50_000)]

# test:
for _ in range(50):
    assert len(Finder().parts()) == 3
