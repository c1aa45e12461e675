# returns an object whose methods and attributes the test uses
# entry_point: shape
class Square:
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


def shape(side):
    return Square(side)


# test:
square = shape(3)
assert square.area() == 9 and square.side == 3
assert [shape(n).side for n in range(3)] == [0, 1, 2]
