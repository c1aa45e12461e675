# is a class that is a list
# entry_point: Stack
class Stack(list):
    def push(self, item):
        self.append(item)

    @property
    def top(self):
        return self[-1]


# test:
stack = Stack()
stack.push(1)
stack.push(2)
assert stack.top == 2 and len(stack) == 2 and list(stack) == [1, 2]
assert stack.pop() == 2 and len(stack) == 1
