# returns objects where keys and numbers were meant, to be run beside the test
# entry_point: Bank
class Bank:
    def key(self):
        return self

    def self(self):
        return self

# test:
bank = Bank()
assert bank.key() == 1
assert {1: 2}[bank.key()] == 2
