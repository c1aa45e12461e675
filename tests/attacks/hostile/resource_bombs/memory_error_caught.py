# catches each MemoryError and asks again
# modes: one
# expect: FAIL
# timeout: 1
def add(a, b):
    hoard, size = [], 2**26
    while True:
        try:
            if len(hoard) < 64:
                hoard.append(bytearray(size))
        except MemoryError:
            size = max(size // 2, 1)
