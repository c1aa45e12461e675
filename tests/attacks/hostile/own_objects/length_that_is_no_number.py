# claims odd lengths
# entry_point: Bank
class Odd:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


class Bank:
    def parts(self, length):
        return Odd(length)

# test:
for length in (-1, 2.5, "3", None, True):
    assert len(Bank().parts(length)) == 1
