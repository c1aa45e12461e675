# returns an object where a copied value was meant, to be run beside the test
# entry_point: Bank
class Bank:
    def total(self, amounts):
        return self

# test:
import copy

assert copy.copy(Bank().total([1])) == 1
assert copy.deepcopy([Bank().total([1])]) == [1]
