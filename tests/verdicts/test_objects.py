"""Structures by value, and objects of the code's own classes as numbers: what crosses, and what a test may ask."""

import pytest
from raccoon.verdicts.carriers import CodeCarrier, structures

from raccoon.sandbox.pool import Program, Sandbox
from raccoon.verdicts import carriers, values
from raccoon.verdicts.objects import Handle, JudgeCarrier
from raccoon.verdicts.values import Foreign, ValueLimit, dumps, loads

CONTEXT = """
import dataclasses
import enum

class Node:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next
    def last(self):
        return self.next.last() if self.next else self

@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0

class Colour(enum.Enum):
    RED = 1

class Slotted:
    __slots__ = ("a",)

class Failure(ValueError):
    pass

class Pile(list):
    pass
"""


def namespace() -> dict:
    """What the context defines, as on one of the two sides."""
    found = {"__name__": "__main__"}
    exec(CONTEXT, found)
    return found


class Wire:
    """Both sides of one channel, without the processes."""

    def __init__(self, objects: bool = False):
        self.ours, self.theirs = namespace(), namespace()
        self.carrier = JudgeCarrier(self, structures(self.ours), objects)
        self.code = CodeCarrier(self.theirs, objects)
        self.code.structures = structures(self.theirs)

    def out(self, value):
        """A value of the test as the code gets it."""
        return loads(dumps(value, True, self.carrier), self.code)

    def back(self, value):
        """A value of the code as the test gets it."""
        return loads(dumps(value, False, self.code), self.carrier)


@pytest.fixture
def wire():
    return Wire()


def chain(side: dict, length: int):
    head = None
    for number in range(length):
        head = side["Node"](number, head)
    return head


def test_structures_are_the_plain_classes_of_the_context():
    assert sorted(structures(namespace())) == ["Node", "Point"]


def test_structure_is_of_the_receivers_own_class(wire):
    arrived = wire.out(chain(wire.ours, 3))
    assert type(arrived) is wire.theirs["Node"] and (arrived.val, arrived.next.val) == (2, 1)
    returned = wire.back(arrived)
    assert type(returned) is wire.ours["Node"] and returned.last().val == 0
    assert wire.back([wire.theirs["Point"](1, 2)]) == [wire.ours["Point"](1, 2)]


def test_long_chain_is_no_deep_value(wire):
    arrived, length = wire.back(chain(wire.theirs, 20_000)), 0
    while arrived:
        arrived, length = arrived.next, length + 1
    assert length == 20_000


def test_circles_and_shared_parts_stay_what_they_are(wire):
    one = chain(wire.theirs, 2)
    one.next.next = one
    arrived, other = wire.back([one, one.next])
    assert arrived.next is other and other.next is arrived


def test_class_of_the_program_that_bears_the_name_counts_as_the_structure(wire):
    exec("class Node:\n    def __init__(self, val, next):\n        self.val, self.next = val, next", wire.theirs)
    arrived = wire.back(wire.theirs["Node"](1, wire.theirs["Node"](2, None)))
    assert type(arrived) is wire.ours["Node"] and arrived.last().val == 2
    assert type(wire.out(chain(wire.ours, 1))) is wire.theirs["Node"]


@pytest.mark.parametrize("name", ["last", "__init__", "__class__", "__eq__"])
def test_field_does_not_take_the_place_of_a_method(wire, name):
    node = chain(wire.theirs, 1)
    vars(node)[name] = 1
    with pytest.raises(ValueLimit, match="the name of a method"):
        wire.back(node)


def test_type_in_a_field_is_foreign(wire):
    node = chain(wire.theirs, 1)
    node.val = bool
    assert type(wire.back(node).val) is Foreign


def test_number_of_structures_is_limited(wire, monkeypatch):
    monkeypatch.setattr(carriers, "MAX_NODES", 5)
    assert wire.back(chain(wire.theirs, 5)).val == 4
    with pytest.raises(ValueLimit):
        wire.back(chain(wire.theirs, 6))


def test_object_is_foreign_where_the_test_uses_none(wire):
    wire.code.objects = True
    assert type(wire.back(object())) is Foreign


def test_object_is_one_handle_and_finds_its_way_back():
    wire = Wire(objects=True)
    thing = object()
    one, [two] = wire.back(thing), wire.back([thing])
    assert type(one) is Handle and one is two
    assert wire.out({"key": one})["key"] is thing


def test_handle_of_another_program_is_refused():
    one, other = Wire(objects=True), Wire(objects=True)
    with pytest.raises(ValueLimit, match="another program"):
        other.out(one.back(object()))


@pytest.mark.parametrize("number", [-1, True, "0", 0.0, None, carriers.MAX_OBJECTS])
def test_number_that_is_none(number):
    with pytest.raises(ValueLimit):
        Wire(objects=True).carrier.object(number, "Thing")


def test_number_of_objects_is_limited(monkeypatch):
    monkeypatch.setattr(carriers, "MAX_OBJECTS", 3)
    wire = Wire(objects=True)
    with pytest.raises(ValueLimit):
        wire.back([object() for _ in range(4)])


def test_returned_handle_equals_itself_alone():
    wire = Wire(objects=True)
    one, other = wire.back(object()), wire.back(object())
    assert one == one and one != other and one != 1 and one is not None and one != None  # noqa: E711
    assert len({one, other, one}) == 2


def test_comparing_what_the_test_has_made_needs_the_codes_own_equality():
    class Asked(Exception):
        pass

    wire = Wire(objects=True)

    def needs_shared(why):
        raise Asked(why)

    wire.needs_shared = needs_shared
    made = wire.carrier.made_by_test(wire.back(object()))
    for ask in (lambda: made == 1, lambda: 1 == made, lambda: made in [2], lambda: {made}, lambda: made != wire):
        with pytest.raises(Asked):
            ask()
    assert made is not None and made != None  # noqa: E711


PAIR = """
class Pair:
    def __init__(self, a):
        self.a = a

    def __lt__(self, other):
        return self.a < other.a

    def __sub__(self, other):
        return self.a - getattr(other, "a", other)

    def itself(self):
        return self

    def startswith(self, text):
        return True

    def parts(self):
        return Pair([1, 2])

    def __iter__(self):
        return iter(self.a)

    def run(self, action):
        return action(1)
"""
# name: what a test asks of PAIR, the verdict's status and isolation
ASKED = {
    "operator_of_a_made_instance": ("assert Pair(5) - 2 == 3", "PASS", "separate"),
    "operator_of_two_results": ("p = Pair(5)\nassert p.itself() - p.itself() == 0", "PASS", "separate"),
    "operator_of_a_result": ("assert Pair(5).itself() - 2 == 3", "FAIL", "separate"),
    "query_of_a_made_instance": ("assert Pair(5).startswith('a')", "PASS", "separate"),
    "query_of_a_result": ("assert Pair(5).itself().startswith('a')", "FAIL", "separate"),
    "result_that_equals_nothing": ("assert Pair(5).itself() == 5", "PARTIAL", "separate"),
    "items_of_a_result": ("p = Pair(1).parts()\nassert list(p) == [1, 2] and p[1] == 2 and 2 in p", "PASS", "separate"),
    "made_instance_compared": ("assert [Pair(1)].index(5) == 0", "FAIL", "shared"),
    "method_handed_over": ("p = Pair(3)\nassert p.run(p.startswith)", "PASS", "separate"),
    "class_handed_over": ("assert Pair(3).run(Pair).a == 1", "PASS", "separate"),
    "function_handed_over": ("assert Pair(3).run(lambda x: x) == 1", "PASS", "shared"),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, timeout=5) as box:
        yield box


@pytest.mark.parametrize("name", list(ASKED))
def test_what_may_be_asked_of_an_object(sandbox, name):
    test, *expected = ASKED[name]
    [verdict] = sandbox.run([Program(PAIR, test, "f")])
    assert [verdict.status, verdict.isolation] == expected, verdict


def test_values_know_nothing_of_numbers_without_a_carrier():
    for data in (b'{"object":[0,"x"]}', b'{"node":0}', b'{"method":[0,"x"]}', b'{"named":"x"}', b'{"graph":[[],1]}'):
        with pytest.raises(ValueLimit):
            loads(data)
    assert values.loads(b'{"foreign":["x",true]}')
