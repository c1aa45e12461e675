# makes a value a method, to be run beside the test
# entry_point: Bank
class Bank:
    def value(self):
        return 1

    def add(self, number):
        return number

# test:
bank = Bank()
assert bank.add(bank.value) == 7
