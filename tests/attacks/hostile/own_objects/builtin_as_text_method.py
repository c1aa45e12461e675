# answers methods of a text with builtin types
# entry_point: Bank
class Text:
    startswith = endswith = bool


class Bank:
    def greeting(self, name):
        return Text()

# test:
text = Bank().greeting("Bo")
assert text.startswith("Hello") and text.endswith("Bo")
