# claims lengths that no list has
# entry_point: Bank
class Long:
    def __len__(self):
        return 2**62

    def __iter__(self):
        return iter([1])


class Bank:
    def parts(self, amounts):
        return Long()

    __len__ = Long.__len__
    __iter__ = Long.__iter__

# test:
assert list(Bank().parts([1, 2])) == [1, 2]
assert sorted(Bank()) == [1, 2]
assert len(Bank()) == 2
