# links objects of several classes of its own
# entry_point: Library
import dataclasses
import enum


class State(enum.Enum):
    FREE = 1
    LENT = 2


@dataclasses.dataclass
class Book:
    title: str
    state: State = State.FREE


class Library:
    def __init__(self):
        self.books = {}

    def add(self, book):
        self.books[book.title] = book
        return self

    def find(self, title):
        return self.books.get(title)

    def lend(self, title):
        if title not in self.books:
            raise KeyError(title)
        self.books[title].state = State.LENT

    def free(self):
        return [book for book in self.books.values() if book.state is State.FREE]


# test:
library = Library()
library.add(Book("A")).add(Book("B"))
assert library.find("A").title == "A" and library.find("C") is None
library.lend("A")
assert library.find("A").state.name == "LENT" and State.FREE.value == 1
assert [book.title for book in library.free()] == ["B"]
try:
    library.lend("C")
    assert False
except KeyError as error:
    assert error.args == ("C",)
