"""Plain data between judge and untrusted code: values survive, and bytes choose values and nothing else."""

import array
import collections
import datetime
import decimal
import enum
import fractions
import itertools
import json
import math
import os
import random
import struct
import threading
import types
import typing
import uuid

import pytest

from helpers.wire import Wire
from raccoon.exchange import frames, values
from raccoon.exchange.frames import FrameReader, ValueLimit, write_frame
from raccoon.exchange.values import dumps, loads

WAYS = {  # how a value crosses
    "plain": lambda value: loads(dumps(value)),
    "copied": lambda value: Wire(tracks=False).back(value),
    "shared": lambda value: Wire().back(value),
    "to the code": lambda value: Wire().out(value),
}


def crossed(value):
    """A value after it has gone over the wire."""
    return loads(dumps(value))


def alike(one, other) -> bool:
    """Whether two values are equal, of the same types all the way down; NaN equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (dict, collections.UserDict)):
        return alike(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, (set, frozenset)):
        return one == other and {type(item) for item in one} == {type(item) for item in other}
    return repr(one) == repr(other)


CARRIED = [
    None, True, False, 0, 1, -1, 2**63 - 1, 2**63, -(2**63), 2**200, 0.0, -0.0, 0.1, 1e308, 5e-324,
    math.inf, -math.inf, math.nan, 1j, complex(-0.0, math.inf), ..., NotImplemented, slice(1, None, [2]),
    "", "text", "\0", "\u00e9\u4e2d\U0001f600", "\ud800", "\ud83d\ude00", "'\"\\\n", b"", b"\x00\xff", bytearray(b"ab"),
    [], [1, 2], [[], [[]]], (), (1,), (1, [2, (3,)]), {}, {"a": 1},
    {1: "a", (1, 2): [3], None: True, 2.5: b"x", frozenset({1}): {}},
    set(), {1, 2}, {(1, 2), "a"}, frozenset({3}), collections.deque([1, 2]), collections.deque([1], 3),
    collections.Counter("aab"), collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.defaultdict(list, a=[1]), types.SimpleNamespace(a=[1]), types.MappingProxyType({1: [2]}),
    collections.UserDict(a=1), collections.UserList([1]), collections.UserString("x"),
    collections.ChainMap({1: 2}, {3: 4}), array.array("d", [1, 2]), array.array("B"), uuid.UUID(int=5),
    range(5), range(10, 0, -3), range(0), range(0, 10**30, 2),
    decimal.Decimal("1.10"), decimal.Decimal("NaN"), decimal.Decimal("-0E+3"), fractions.Fraction(-2, 3),
    datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4), datetime.timedelta(-1, 2, 3),
    datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=30))),
    int, str, list, type, ValueError, {"tuple": [1]}, {"int": "ff"}, {"r": 0}, {"heap": [[], [], 1]},
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", CARRIED, ids=repr)
def test_value_arrives_as_it_is(value, way):
    assert alike(WAYS[way](value), value)
    assert alike(WAYS[way]([{"key": (value,)}]), [{"key": (value,)}])


def test_long_integer_crosses_beyond_the_decimal_limit():
    number = 10**5000 + 1
    for way in WAYS.values():
        assert way([number, -number, 1, {number}]) == [number, -number, 1, {number}]


def test_millions_of_integers_cross():
    numbers = list(range(3_000_000))
    assert WAYS["plain"](numbers) == numbers == WAYS["shared"](numbers)


ITEMS = {  # kinds of items of a set; many want the same slot
    "ints": lambda rng: rng.randrange(-5, 200),
    "texts": lambda rng: chr(rng.randrange(99, 5000)) * 2,
    "tuples": lambda rng: (rng.randrange(30), chr(rng.randrange(97, 120))),
    "large": lambda rng: rng.randrange(10**12),
    "mixed": lambda rng: rng.choice(
        [rng.randrange(40), chr(rng.randrange(97, 120)), (rng.randrange(9), None), None, b"x"]
    ),
}
HISTORIES = {  # how a set came to hold its items
    "added": lambda some: set(some()),
    "copied": lambda some: set(set(some())),
    "joined": lambda some: set(some()) | set(some()),
    "cut": lambda some: set(some()) & set(some()) | set(some()[:5]),
    "reduced": lambda some: set(some()) - set(some()),
    "updated": lambda some: (found := set(some())).update(some()) or found,
    "removed": lambda some: (found := set(some())).difference_update(some()[:9]) or found,
    "frozen": lambda some: frozenset(some()),
}


def random_set(rng: random.Random) -> set:
    """A set of one kind of items that has a history."""
    item = rng.choice([*ITEMS.values()])
    return rng.choice([*HISTORIES.values()])(lambda: [item(rng) for _ in range(rng.randrange(40))])


def random_value(rng: random.Random, depth: int = 0):
    """A value of any carried type, nested up to four levels."""
    leaves = [
        lambda: rng.randint(-(10**20), 10**20),
        lambda: rng.uniform(-1e9, 1e9),
        lambda: "".join(chr(rng.choice([rng.randrange(1, 0x3000), rng.randrange(0xD800, 0xE000)])) for _ in range(5)),
        lambda: rng.randbytes(rng.randrange(5)),
        lambda: rng.choice([None, True, False]),
        lambda: (rng.randrange(9), rng.random()),
    ]
    nested = [
        lambda: [random_value(rng, depth + 1) for _ in range(rng.randrange(4))],
        lambda: tuple(random_value(rng, depth + 1) for _ in range(rng.randrange(4))),
        lambda: {rng.randrange(100): random_value(rng, depth + 1) for _ in range(rng.randrange(4))},
        lambda: {rng.choice("abc"): random_value(rng, depth + 1) for _ in range(rng.randrange(4))},
        lambda: random_set(rng),
        lambda: collections.deque([random_value(rng, depth + 1)]),
        lambda: collections.UserDict({1: random_value(rng, depth + 1)}),
    ]
    return rng.choice(leaves if depth >= 4 else leaves + 2 * nested)()


@pytest.mark.parametrize("way", WAYS)
def test_random_values_arrive_as_they_are(way):
    rng = random.Random(0)
    for _ in range(400):
        value = random_value(rng)
        assert alike(WAYS[way](value), value), value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("history", HISTORIES)
def test_sets_iterate_in_the_same_order(way, history):
    for kind, item in ITEMS.items():
        rng = random.Random(kind)
        sets = [HISTORIES[history](lambda: [item(rng) for _ in range(rng.randrange(40))]) for _ in range(60)]  # noqa: B023
        same = [[*map(repr, WAYS[way](one))] == [*map(repr, one)] for one in sets]
        assert sum(same) >= 57, kind  # the order of a few cannot be told from their tables


# --- subclasses -------------------------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Named(typing.NamedTuple):
    first: int
    second: object

    def total(self):
        return self.first + 1


def sub(base: type, *arguments, **members):
    """An instance of a subclass."""
    return type("Sub", (base,), members)(*arguments)


LIES = {name: lambda self, *_: True for name in ("__eq__", "__contains__")} | {"__hash__": lambda self: 1}
SUBCLASSES = [
    (sub(int, 5), 5), (sub(str, "a"), "a"), (sub(list, [1]), [1]), (Colour.RED, 1), (sub(bytes, b"x"), b"x"),
    (sub(float, 1.5), 1.5), (sub(complex, 1j), 1j), (sub(set, {1}), {1}), (sub(frozenset, {1}), frozenset({1})),
    (sub(tuple, (1,)), (1,)), (sub(dict, {"a": 1}), {"a": 1}), (sub(collections.deque, [1]), collections.deque([1])),
    (sub(collections.UserDict, {"a": 1}), collections.UserDict({"a": 1})), (sub(collections.Counter, "aa"), {"a": 2}),
]  # fmt: skip


@pytest.mark.parametrize("tracks", [False, True])
@pytest.mark.parametrize("value, plain", SUBCLASSES, ids=repr)
def test_subclass_arrives_as_a_subclass_that_equals_its_plain_value(value, plain, tracks):
    wire = Wire(tracks)
    [arrived] = wire.back([value])
    assert arrived == plain and type(arrived) is not type(plain) and isinstance(arrived, type(plain))
    assert wire.out(arrived) is value


@pytest.mark.parametrize("base, argument, other", [
    (int, 5, 6), (str, "a", "b"), (list, [1], [2]), (dict, {1: 2}, {}), (set, {1}, {2}), (tuple, (1,), ()), (float, 1.0
        , 2.0),
])  # fmt: skip
def test_subclass_must_not_lie(base, argument, other):
    """It gives the answer of its plain class, or the test ends."""
    arrived = Wire().back(sub(base, argument, **LIES))
    assert arrived == argument
    with pytest.raises(BaseException, match="two answers"):
        assert arrived == other
    if base in (list, dict, set, tuple):
        with pytest.raises(BaseException, match="two answers"):
            assert 7 in arrived


def test_named_tuple_keeps_its_fields_and_methods_and_equals_a_tuple():
    arrived = Wire(code="").back(Named(1, [2]))
    assert arrived == (1, [2]) and (arrived.first, arrived.second) == (1, [2]) and arrived.total() == 2
    assert arrived._asdict() == {"first": 1, "second": [2]} and arrived._replace(first=3) == (3, [2])


def test_enum_has_its_name():
    arrived = Wire().back(Colour.RED)
    assert arrived == 1 and arrived.name == "RED" and str(arrived) == str(Colour.RED)


# --- lazy -------------------------------------------------------------------------------------------------------------


def test_iterator_is_read_as_far_as_the_test_reads_it():
    taken = []
    wire = Wire()
    arrived = wire.back(taken.append(n) or n * n for n in itertools.count())
    assert [*itertools.islice(arrived, 3)] == [0, 1, 4] and taken == [0, 1, 2]
    assert next(wire.out(arrived)) == 9


def test_generator_that_raises_in_the_middle_and_one_that_returns():
    def half():
        yield 1
        raise LookupError("no")

    def returning():
        yield from [1, 2]
        return 3

    arrived = Wire().back(half())
    assert next(arrived) == 1
    with pytest.raises(LookupError, match="no"):
        next(arrived)
    arrived = Wire().back(returning())
    assert [next(arrived), next(arrived)] == [1, 2]
    with pytest.raises(StopIteration) as stop:
        next(arrived)
    assert stop.value.value == 3


def test_dict_views_compare_as_views():
    table = {"a": 1, "b": 2}
    assert crossed(table.keys()) == {"a", "b"} and crossed(table.items()) == {("a", 1), ("b", 2)}
    assert list(crossed(table.values())) == [1, 2]


# --- limits -----------------------------------------------------------------------------------------------------------

NOT_CARRIED = [object(), lambda: 1, ValueError("no"), print, memoryview(b"a"), math, sub(int, 5), iter([])]


@pytest.mark.parametrize("value", NOT_CARRIED, ids=repr)
def test_anything_else_needs_a_heap(value):
    with pytest.raises(ValueLimit):
        dumps([value])


def nested(depth: int, wrap=lambda value: [value]):
    value = 1
    for _ in range(depth):
        value = wrap(value)
    return value


def depth_of(value) -> int:
    depth = 0
    while value != 1:
        value, depth = value[0], depth + 1
    return depth


@pytest.mark.parametrize("tracks", [False, True])
@pytest.mark.parametrize("wrap, deepest", [
    (lambda value: [value], 5000), (lambda value: {0: value}, 5000), (lambda value: (value,), 98),
    (lambda value: [(value,)], 300), (lambda value: collections.deque([value]), 300),
])  # fmt: skip
def test_deep_values_cross(tracks, wrap, deepest):
    for depth in (50, 98, deepest):
        value = nested(depth, wrap)
        assert depth_of(Wire(tracks).back(value)) == depth_of(Wire(tracks).out(value)) == depth_of(value)


def test_depth_of_a_message_is_limited():
    with pytest.raises(ValueLimit):
        dumps(nested(values.MAX_DEPTH + 50))
    levels = ((b"[", b'{"set":[]}', b"]"), (b'{"tuple":[', b"", b"]}"), (250 * b"[", b"", 250 * b"]"))
    for opening, inner, closing in levels:
        data = 400 * opening + inner + 400 * closing
        for heap in (None, Wire().heap):
            with pytest.raises(ValueLimit):
                loads(data, heap)


@pytest.mark.parametrize("tracks", [False, True])
def test_circle_stays_a_circle(tracks):
    circle: list = [{}]
    circle[0]["self"] = circle
    arrived = Wire(tracks).back(circle)
    seen = [arrived]
    while len(seen) < 500:  # the first levels may be copies
        seen.append(seen[-1][0]["self"])
    assert len(set(map(id, seen))) <= 2 * values.MAX_DEPTH


def test_size_is_limited():
    with pytest.raises(ValueLimit, match="bytes, limit"):
        dumps("a" * (frames.MAX_FRAME + 1))
    assert len(crossed("a" * (frames.MAX_FRAME - 100))) == frames.MAX_FRAME - 100


HOSTILE = [
    b"", b"{", b"nonsense", b"\xff", b"[1,]", b"1 2", b"{}", b"9" * 5000,
    b'{"a":1,"b":2}', b'{"nosuchtag":1}', b'{"tuple":1}', b'{"tuple":null}', b'{"set":[[1]]}', b'{"set":1}',
    b'{"set":[[[1]],[]]}', b'{"dict":[[1]]}', b'{"dict":[[[]],[1]]}', b'{"dict":[[1],[]]}', b'{"dict":1}',
    b'{"int":"zz"}', b'{"int":5}', b'{"bytes":"x"}', b'{"bytes":1}', b'{"complex":["a","b"]}', b'{"Decimal":"x"}',
    b'{"Fraction":["1","0"]}', b'{"datetime":"never"}', b'{"datetime":1}', b'{"timedelta":[1e400,0,0]}',
    b'{"timedelta":["a"]}', b'{"range":[0,1,0]}', b'{"range":["0","1","0"]}',
    b'{"type":"print"}', b'{"type":"__import__"}', b'{"type":"nosuchtype"}', b'{"type":"__loader__"}',
    b'{"type":1}', b'{"type":"__doc__"}', b'{"deque":5}', b'{"Counter":[1]}', b'{"OrderedDict":[1]}',
    b'{"frozenset":[[[1]],[]]}', b'{"frozenset":[1]}', b'{"UUID":"x"}',
    b'{"array":[["z",""]]}', b'{"array":[["i","00"]]}', b'{"bytearray":[["x"]]}',
    b'{"mappingproxy":[[1]]}', b'{"keys":[[1]]}', b'{"items":[1]}', b'{"constant":"print"}', b'{"constant":[]}',
    b'{"numpy":["ndarray","O",[1],""]}', b'{"numpy":["ndarray","<V8",[1],""]}', b'{"numpy":["ndarray",1,[1],""]}',
    b'{"numpy":["ndarray",[["a","O"]],[1],"AAAAAAAAAAA="]}', b'{"numpy":["ndarray","<i8",[2],"AAAAAAAAAAA="]}',
    b'{"numpy":["ndarray",null,[3],[1]]}', b'{"ndarray":[["O",""],[1]]}', b'{"ndarray":[["<i8","x"],[1]]}',
    b'{"r":0}', b'{"object":[1,"x","",[]]}', b'{"heap":[[],[],1]}', b'{"numbered":[1,{"tuple":[]}]}',
]  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: data[:40].decode("latin-1"))
def test_bytes_that_no_dumps_wrote_are_refused(data):
    with pytest.raises(ValueLimit):
        loads(data)


def test_mutated_bytes_give_a_value_or_a_limit_and_never_another_error():
    rng = random.Random(1)
    pieces = [b"", b'"', b"[", b"}", b"9", b"-", b"null", b"\xff", b"1e9", b'{"r":1}', b"[]", b"{}", b"true"]
    for turn in range(4000):
        tracks = bool(turn % 2)
        wire = Wire(tracks)
        values = [random_value(rng), sub(int, 5), object(), Named(1, 2), ValueError("x"), rng.choice(CARRIED)]
        data = bytearray(dumps(rng.choice(values), wire.code))
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(data) + 1)
            data[place : place + rng.randrange(6)] = rng.choice(pieces)
        try:
            loads(bytes(data), wire.heap)
        except ValueLimit:
            continue


def test_no_class_of_the_wire_comes_from_a_module():
    """A tag names a type of a table and is never imported or looked up elsewhere."""
    for tag in ("os.system", "posix", "sandbox_values", "__reduce__", "eval", "method", "named", "test", "exception"):
        for heap in (None, Wire().heap):
            with pytest.raises(ValueLimit):
                loads(json.dumps({tag: [1, "echo"]}).encode(), heap)


@pytest.mark.parametrize("way", WAYS)
def test_numpy_arrives_as_numpy(way):
    numpy = pytest.importorskip("numpy")
    arrays = [
        numpy.arange(6).reshape(2, 3), numpy.array([0.5, numpy.nan]), numpy.array([True]), numpy.array([1 + 2j]),
        numpy.array([1, 2], dtype="uint8"), numpy.zeros(0), numpy.array(3), numpy.arange(9)[::-2], numpy.matrix([[1]]),
        numpy.asfortranarray(numpy.arange(4).reshape(2, 2)), numpy.array(["a", "bc"]), numpy.array([b"a"]),
        numpy.array([1, None, "x"], dtype=object), numpy.array(["2024-01-01"], dtype="M8[D]"), numpy.zeros((0, 3)),
        numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), numpy.float16([1.5]), numpy.ones((2, 1, 2), ">i4"),
    ]  # fmt: skip
    for value in arrays:
        arrived = WAYS[way](value)
        assert (type(arrived), arrived.dtype, arrived.shape) == (type(value), value.dtype, value.shape)
        assert arrived.tolist() == value.tolist() or numpy.isnan(value).any()
    scalars = [numpy.int64(3), numpy.float64(0.5), numpy.bool_(1), numpy.longdouble(2), numpy.datetime64("2024-01-01")]
    scalars += [numpy.timedelta64(3, "D"), numpy.str_("x"), numpy.float32(0.1), numpy.complex64(1j)]
    assert all(alike(WAYS[way](scalar), scalar) for scalar in scalars)
    masked = WAYS[way](numpy.ma.masked_array([1, 2, 3], [0, 1, 0]))
    assert masked.sum() == 4 and masked.mask.tolist() == [False, True, False]


def sized(*sizes: int) -> list[bytes]:
    return [bytes([place % 256]) * size for place, size in enumerate(sizes)]


def test_frames_arrive_whole_and_in_order():
    sent = sized(0, 1, 5, 70_000, 3_000_000, 2, 65_536)
    reading, writing = os.pipe()
    sender = threading.Thread(target=lambda: [write_frame(writing, frame) for frame in sent])
    sender.start()
    reader = FrameReader(reading)
    assert [reader.read() for _ in sent] == sent
    sender.join()
    os.close(writing)
    with pytest.raises(EOFError):
        reader.read()
    os.close(reading)


@pytest.mark.parametrize("data, error", [
    (b"", EOFError), (b"\1\0", EOFError), (struct.pack("=I", 10) + b"half", EOFError),
    (struct.pack("=I", 0xFFFFFFFF), ValueLimit), (struct.pack("=I", frames.MAX_FRAME + 1), ValueLimit),
])  # fmt: skip
def test_broken_frame_is_an_error_and_no_wait(data, error):
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    with pytest.raises(error):
        FrameReader(reading).read()
    os.close(reading)
