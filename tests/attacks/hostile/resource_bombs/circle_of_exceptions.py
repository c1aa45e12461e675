# raises an exception that is its own cause and context
# modes: one
# expect: FAIL
def add(a, b):
    error, other = ValueError("x"), KeyError("y")
    error.__cause__, other.__cause__ = other, error
    error.__context__ = other
    raise error
