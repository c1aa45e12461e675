# grows a list of strings to 4 GB
# modes: one
# timeout: 4
# expect: FAIL
def add(a, b):
    hoard = []
    while len(hoard) < 64:
        hoard.append(b"x" * 2**26 + bytes([len(hoard)]))
    return len(hoard)
