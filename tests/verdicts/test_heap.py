"""Objects that judge and child share: one object on both sides, whoever changes it, and nothing that was not agreed."""

import json
import random

import pytest

from helpers.wire import Wire
from raccoon.exchange import heap
from raccoon.exchange.frames import ValueLimit
from raccoon.exchange.heap import structures
from raccoon.exchange.values import dumps, loads
from raccoon.verdicts.handles import Handle, number_of

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
CODE = """
kept = []
def same(x): return x
def first(x): return x[0]
def keep(x): kept.append(x); return kept
def last(): return kept[-1]
def is_last(x): return x is kept[-1]
def change(x, action): exec(action, {"x": x}); return x
def make(text): return eval(text)
class Thing:
    def __init__(self): self.items = [1]
"""


@pytest.fixture
def wire():
    return Wire(code=CODE, context=CONTEXT)


# --- identity and changes ---------------------------------------------------------------------------------------------

COLLECTIONS = ["[1, 2]", "{1: 2}", "{1, 2}", "bytearray(b'ab')"]
COLLECTIONS += ["__import__('types').SimpleNamespace(a=1)", "__import__('array').array('i', [1])"]
COLLECTIONS += [
    f"__import__('collections').{made}"
    for made in """deque([1,2]) Counter('ab') OrderedDict(a=1) defaultdict(list) UserList([1]) UserDict(a=1)
    ChainMap({1:2})""".split()
]


@pytest.mark.parametrize("text", COLLECTIONS)
def test_an_object_is_one_object_on_both_sides(wire, text):
    ours = eval(text)
    assert wire.call("same", ours) is ours
    assert wire.call("keep", ours)[-1] is ours and wire.call("last") is ours and wire.call("is_last", ours)
    theirs = wire.call("make", text)
    assert wire.call("same", theirs) is theirs and theirs == ours
    assert wire.call("keep", theirs)[-1] is theirs and wire.call("is_last", theirs)


def test_a_tuple_that_is_handed_over_or_returned_keeps_its_identity(wire):
    ours = (1, [2])
    theirs = wire.call("make", "(1, [2])")
    assert wire.call("same", ours) is ours and wire.call("same", theirs) is theirs == ours
    wire.call("keep", theirs)
    assert wire.call("last") is theirs and wire.call("is_last", theirs) and not wire.call("is_last", ours)


CHANGES = {
    "[3, 1]": """x.append(2)|x.sort()|x.clear()|x[:] = [7]|x.append(x)|del x[0]|x[0] = 3.0|x[1] = True""".split("|"),
    "[[1], [2]]": ["x[0].append(5)", "x[0] = x[1]", "x.reverse()", "x += [x[0]]", "x[1] = [2]"],
    "{'a': 1, 'b': [2]}": [
        "x.pop('a')",
        "x['b'].append(3)",
        "x['c'] = x",
        "x.update(a=x['b'])",
        "x['a'] = 1.0",
        "x['z'] = x.pop('a'); x['a'] = 1",
    ],
    "{1, 2}": ["x.add(3)", "x.discard(1)", "x.clear()", "x |= {9, 8}", "x.add((1, 2))"],
    "bytearray(b'ba')": ["x.reverse()", "x.append(1)"],
    "__import__('collections').deque([1, 2], 3)": ["x.rotate(1)", "x.appendleft(0)", "x.extend([5, 6, 7])"],
    "__import__('collections').defaultdict(list)": ["x[1].append(2)", "x.default_factory = int"],
    "__import__('collections').OrderedDict(a=1, b=2)": ["x.move_to_end('a')", "x.popitem()"],
    "__import__('types').SimpleNamespace(a=[1])": ["x.a.append(2)", "x.b = 3", "del x.a"],
    "__import__('array').array('i', [2, 1])": ["x.append(3)", "x.reverse()"],
    "__import__('collections').UserDict(a=1)": ["x['b'] = 2", "x.data = {}"],
    "([1], [2])": ["x[0].append(x[1])"],
}


@pytest.mark.parametrize("text, action", [(text, action) for text, actions in CHANGES.items() for action in actions])
def test_a_change_on_one_side_is_one_on_the_other(wire, text, action):
    """By the code to the test's object and to its own, and by the test to both."""
    expected = eval(text)
    exec(action, {"x": expected})
    for by_code in (True, False):
        for given in (eval(text), wire.call("make", text)):
            if by_code:
                assert wire.call("change", given, action) is given
            else:
                exec(action, {"x": given})
            assert repr(given) == repr(expected)
            wire.call("keep", given)
            assert wire.call("change", given, "assert repr(x) == " + repr(repr(expected))) is given


def test_two_names_for_one_list_stay_two_names(wire):
    grid = wire.call("make", "[[0] * 2] * 2")
    assert grid[0] is grid[1]
    row = [0]
    assert wire.call("change", [row, row], "x[0].append(1)") == [[0, 1], [0, 1]] and row == [0, 1]


def test_list_that_the_code_keeps_is_changed_later(wire):
    mine = []
    wire.call("keep", mine)
    wire.call("change", 0, "")
    wire.theirs["kept"][-1].append(5)
    assert mine == [], "the judge hears of it with the next answer"
    wire.call("same", 0)
    assert mine == [5]


def test_copies_cross_where_nothing_can_tell():
    wire = Wire(tracks=False, code=CODE)
    given = [1]
    assert wire.call("same", given) == given and wire.call("same", given) is not given
    assert wire.call("change", given, "x.append(2)") == [1, 2] and given == [1]


@pytest.mark.parametrize("seed", range(40))
def test_random_changes_on_both_sides(seed):
    """Against one process: the same actions on the same lists and dicts, half of them by the code."""
    rng, wire = random.Random(seed), Wire(code=CODE)
    texts = ["[]", "{}", "[[1]]", "{'a': [2]}", "set()"]
    ours, plain = zip(*[(eval(text), eval(text)) for text in rng.choices(texts, k=4)], strict=True)
    ours, plain = [*ours], [*plain]
    for _ in range(30):
        one, other = rng.randrange(4), rng.randrange(4)
        action = {
            list: ["x.append({})", "x.append(y)", "x.insert(0, y)", "x and x.pop()", "x.extend([1, 2])", "x.reverse()"],
            dict: ["x['k'] = y", "x[{}] = 1", "x.clear()", "x.update(a=y)"],
            set: ["x.add({})", "x.discard({})"],
        }[type(plain[one])]
        action = rng.choice(action).format(rng.randrange(9))
        exec(action, {"x": plain[one], "y": plain[other]})
        if rng.random() < 0.5:
            exec(action, {"x": ours[one], "y": ours[other]})
        else:
            wire.call("change", {"x": ours[one], "y": ours[other]}, "x, y = x['x'], x['y']; " + action)
    assert repr(ours) == repr(plain)
    assert wire.call("change", ours, "assert repr(x) == " + repr(repr(plain))) is ours


# --- structures of the context ----------------------------------------------------------------------------------------


def chain(side: dict, length: int):
    head = None
    for number in range(length):
        head = side["Node"](number, head)
    return head


def test_structures_are_the_plain_classes_of_the_context(wire):
    assert sorted(structures(wire.ours)) == ["Node", "Point"]


def test_structure_is_of_the_receivers_own_class(wire):
    ours = chain(wire.ours, 3)
    arrived = wire.out(ours)
    assert type(arrived) is wire.theirs["Node"] and (arrived.val, arrived.next.val) == (2, 1)
    assert wire.back(arrived) is ours
    returned = wire.back(chain(wire.theirs, 2))
    assert type(returned) is wire.ours["Node"] and returned.last().val == 0
    assert wire.back([wire.theirs["Point"](1, 2)]) == [wire.ours["Point"](1, 2)]
    assert wire.back({wire.theirs["Point"](1, 2)}) == {wire.ours["Point"](1, 2)}


def test_fields_change_on_both_sides(wire):
    ours = chain(wire.ours, 3)
    assert wire.call("change", ours, "x.next.next, x.val, x.new = x, 9, 1") is ours
    assert (ours.next.next is ours, ours.val, ours.new) == (True, 9, 1)
    ours.val = [4]
    assert wire.call("change", ours, "x.val.append(x.next.next.val is x.val)").val == [4, True]


def test_long_chain_is_no_deep_value(wire):
    for arrived in (wire.back(chain(wire.theirs, 20_000)), wire.out(chain(wire.ours, 20_000))):
        length = 0
        while arrived:
            arrived, length = arrived.next, length + 1
        assert length == 20_000


def test_class_of_the_program_that_has_the_name_counts_as_the_structure(wire):
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


@pytest.mark.parametrize("make", [
    "Node(1)", "__import__('types').SimpleNamespace()", "__import__('collections').UserString('x')",
    "__import__('collections').UserList()",
])  # fmt: skip
def test_field_does_not_answer_like_a_method_of_a_plain_value(wire, make):
    """Else the code would see what the test expects: `result.startswith(expected)`."""
    number = wire.code.keep(lambda text: True)
    call = {"object": [number, "function", "call", [False] * 4]}
    [tag, *_] = json.loads(dumps(eval(make, wire.theirs), wire.code))["heap"][0][0][1:]
    columns = [["data", "startswith"], ["x", call]]
    numbered = {"heap": [[[99, tag, ["Node"] if tag == "structure" else None, columns]], [], {"r": 99}]}
    for frame in (numbered, {tag: columns}):
        with pytest.raises((ValueLimit, AttributeError)):
            loads(json.dumps(frame).encode(), wire.heap).startswith("secret")


# --- objects of the code ----------------------------------------------------------------------------------------------


def test_object_is_one_handle_and_finds_its_way_back(wire):
    thing = object()
    one, [two] = wire.back(thing), wire.back([thing])
    assert type(one) is Handle and one is two
    assert wire.out({"key": one})["key"] is thing


def test_handle_of_another_program_is_refused(wire):
    with pytest.raises(ValueLimit, match="another program"):
        Wire().out(wire.back(object()))


def test_returned_handle_equals_itself_alone(wire):
    one, other = wire.back(object()), wire.back(object())
    assert one == one and one != other and one != 1 and one is not None and one != None  # noqa: E711
    assert len({one, other, one}) == 2


# --- hostile messages -------------------------------------------------------------------------------------------------

LIST = [[1, 2]]
MESSAGES = {
    "unknown number": [[], [], {"r": 77}],
    "number of the judge's that is not given": [[], [], {"r": 40}],
    "new number of the wrong parity": [[[40, "list", None, LIST]], [], {"r": 40}],
    "number that is taken": [[[41, "list", None, LIST], [41, "list", None, LIST]], [], 1],
    "negative number": [[[-1, "list", None, LIST]], [], 1],
    "number that is true": [[[True, "list", None, LIST]], [], 1],
    "number that is a float": [[[41.0, "list", None, LIST]], [], 1],
    "number that is a text": [[["41", "list", None, LIST]], [], 1],
    "number beyond the limit": [[[2 * heap.MAX_OBJECTS + 1, "list", None, LIST]], [], 1],
    "unknown tag": [[[41, "nosuchtag", None, LIST]], [], 1],
    "tag of an immutable": [[[41, "tuple", None, LIST]], [], 1],
    "unknown structure": [[[41, "structure", ["Colour"], [[], []]]], [], 1],
    "structure without a name": [[[41, "structure", None, [[], []]]], [], 1],
    "structure with odd fields": [[[41, "structure", ["Node"], [["a"], []]]], [], 1],
    "structure with a field that is no name": [[[41, "structure", ["Node"], [[1], [1]]]], [], 1],
    "too few columns": [[[41, "dict", None, [[1]]]], [], 1],
    "columns that are none": [[[41, "list", None, 5]], [], 1],
    "no columns": [[[41, "list", None]], [], 1],
    "change of an unknown object": [[], [[77, LIST]], 1],
    "change of a function of the test": [[], [["FUNCTION", LIST]], 1],
    "change of an iterator of the test": [[], [["ITERATOR", LIST]], 1],
    "change of a tuple of the test": [[], [["TUPLE", LIST]], 1],
    "change of a handle": [[], [["HANDLE", LIST]], 1],
    "list given for a handle": [[], [], {"object": ["LIST", "x", "", [False] * 4]}],
    "function of the test given for a handle": [[], [], {"object": ["FUNCTION", "x", "", [False] * 4]}],
    "handle without traits": [[], [], {"object": [41, "x", "", []]}],
    "handle whose name is none": [[], [], {"object": [41, 5, "", [False] * 4]}],
    "handle whose number is true": [[], [], {"object": [True, "x", "", [False] * 4]}],
    "sub of no base": [[], [], {"sub": [41, ["X"], "list", [1]]}],
    "sub with another value": [[], [], {"sub": [41, ["X"], "int", "text"]}],
    "sub of a bool": [[], [], {"sub": [41, ["X"], "int", True]}],
    "sub without names": [[], [], {"sub": [41, [], "int", 1]}],
    "sub with the number of the test's": [[], [], {"sub": [40, ["X"], "int", 1]}],
    "named tuple with too many fields": [[], [], {"namedtuple": [41, "N", ["a"] * 65, [0] * 65]}],
    "named tuple with fields that are none": [[], [], {"namedtuple": [41, "N", [1], [1]]}],
    "named tuple with too few items": [[], [], {"namedtuple": [41, "N", ["a", "b"], [1]]}],
    "named tuple with a method's name": [[], [], {"namedtuple": [41, "N", ["startswith"], [{"type": "str"}]]}],
    "class of a module that is no known one": [[], [], {"standard": ["os", "system"]}],
    "class that is no known one": [[], [], {"standard": ["subprocess", "Popen"]}],
    "class by a path": [[], [], {"standard": ["builtins", "object.__init__"]}],
    "own class that is no exception": [[], [], {"class": [41, "X", [{"standard": ["builtins", "list"]}]]}],
    "own class without bases": [[], [], {"class": [41, "X", []]}],
    "exception of no class": [[], [], {"error": [41, {"standard": ["builtins", "int"]}, "m", [], [], None, False]}],
    "exception with the number of the test's": [
        [], [], {"error": [40, {"standard": ["builtins", "ValueError"]}, "m", [], [], None, False]}],
    "numbered list": [[], [], {"numbered": [41, [1]]}],
    "numbered with the number of the test's": [[], [], {"numbered": [40, {"tuple": []}]}],
    "method of the code's side": [[], [], {"method": ["HANDLE", "x"]}],
    "name of the code's side": [[], [], {"named": "x"}],
    "function of the code's side": [[], [], {"test": [41, "function", "x", "", []]}],
    "four parts": [[], [], 1, 1],
    "no parts": [],
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_message_that_no_heap_wrote_is_refused(wire, name):
    function, iterator, pair, items, handle = len, iter([]), (1, 2), [0], wire.back(object())
    for given in (function, iterator, pair, items):
        wire.out(given)
    numbers = {"FUNCTION": function, "ITERATOR": iterator, "TUPLE": pair, "LIST": items}
    text = json.dumps({"heap": MESSAGES[name]})
    for word, given in numbers.items():
        text = text.replace(f'"{word}"', str(wire.heap.keep(given)))
    text = text.replace('"HANDLE"', str(number_of(handle)))
    with pytest.raises(ValueLimit):
        loads(text.encode(), wire.heap)
    assert (pair, items, wire.heap.objects[wire.heap.keep(function)]) == ((1, 2), [0], len)


def test_number_of_objects_is_limited(wire, monkeypatch):
    monkeypatch.setattr(heap, "MAX_OBJECTS", 3)
    with pytest.raises(ValueLimit):
        wire.back([object() for _ in range(4)])


def test_contents_of_a_collection_are_the_codes_to_choose_and_its_class_is_not(wire):
    """The code may change a list that it got, into any list; it stays a list."""
    mine = [1]
    wire.out(mine)
    number = wire.heap.keep(mine)
    loads(json.dumps({"heap": [[], [[number, [[5, {"r": number}]]]], None]}).encode(), wire.heap)
    assert type(mine) is list and mine[0] == 5 and mine[1] is mine
