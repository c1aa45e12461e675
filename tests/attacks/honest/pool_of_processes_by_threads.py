# sums in a pool of processes
# entry_point: total
import multiprocessing


def total(parts):
    with multiprocessing.Pool(2) as pool:
        return sum(pool.map(sum, parts))


# test:
assert total([[1, 2], [3]]) == 6
