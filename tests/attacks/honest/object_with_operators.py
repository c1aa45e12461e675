# is a class with operators, order, length, items and text
# entry_point: Vector
class Vector:
    def __init__(self, *parts):
        self.parts = parts

    def __add__(self, other):
        return Vector(*map(sum, zip(self.parts, other.parts)))

    def __mul__(self, factor):
        return Vector(*(factor * part for part in self.parts))

    __rmul__ = __mul__

    def __neg__(self):
        return -1 * self

    def __lt__(self, other):
        return abs(self) < abs(other)

    def __abs__(self):
        return sum(part * part for part in self.parts) ** 0.5

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, place):
        return self.parts[place]

    def __contains__(self, part):
        return part in self.parts

    def __bool__(self):
        return any(self.parts)

    def __repr__(self):
        return f"Vector{self.parts}"

    @property
    def first(self):
        return self.parts[0]

    @classmethod
    def zero(cls, size):
        return cls(*[0] * size)


# test:
a, b = Vector(3, 4), Vector(1, 0)
assert (a + b).parts == (4, 4) and (2 * a).parts == (6, 8) and (-a).first == -3
assert b < a and sorted([a, b])[0].parts == (1, 0) and max(a, b).first == 3
assert abs(a) == 5.0 and len(a) == 2 and a[1] == 4 and list(a) == [3, 4] and 3 in a and 7 not in a
assert bool(a) and not Vector.zero(2) and len(Vector.zero(3)) == 3
assert str(a) == "Vector(3, 4)" and f"{b!r}" == "Vector(1, 0)" and isinstance(a + b, Vector)
a += b
assert a.parts == (4, 4)
