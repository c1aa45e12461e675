# is a class used in with statements, for loops and calls
# entry_point: Session
class Session:
    def __init__(self, limit=3):
        self.limit, self.log = limit, []

    def __enter__(self):
        self.log.append("open")
        return self

    def __exit__(self, kind, error, trace):
        self.log.append("closed")

    def __iter__(self):
        number = 0
        while True:
            yield number
            number += 1

    def __call__(self, text, times=1):
        self.log.append(text * times)
        return len(self.log)


# test:
with Session() as session:
    assert session("a", times=2) == 2
    assert session.log == ["open", "aa"]
assert session.log == ["open", "aa", "closed"] and session.limit == 3
for number in session:
    if number > session.limit:
        break
assert number == 4
session.limit = 5
assert session.limit == 5 and hasattr(session, "log") and not hasattr(session, "other")
