# recurses until something breaks
# modes: one
# expect: FAIL
def add(a, b):
    return add(b, a)
