# has a truth that raises, exits or is no truth
# entry_point: Finder
class Found:
    def __init__(self, kind):
        self.kind = kind

    def __bool__(self):
        if self.kind == 0:
            raise SystemExit(0)
        if self.kind == 1:
            raise KeyboardInterrupt
        return "yes"


class Finder:
    def found(self, kind):
        return Found(kind)

# test:
for kind in range(3):
    assert Finder().found(kind)
