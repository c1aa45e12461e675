# returns an object that contains everything and cannot be iterated
# entry_point: Bank
class Everything:
    def __contains__(self, item):
        return True


class Bank:
    def names(self):
        return Everything()

# test:
assert "Bo" in Bank().names()
