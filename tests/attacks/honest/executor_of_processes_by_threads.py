# squares in an executor of processes
# entry_point: squares
from concurrent.futures import ProcessPoolExecutor


def square(x):
    return x * x


def squares(xs):
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(square, xs))


# test:
assert squares([1, 2]) == [1, 4]
