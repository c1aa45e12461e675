"""Plain data between judge and untrusted code: values survive, and bytes choose values and nothing else."""

import array
import collections
import dataclasses
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
import typing

import pytest

from raccoon.verdicts import values
from raccoon.verdicts.values import Foreign, FrameReader, NotCarried, Record, ValueLimit, dumps, loads, write_frame


def crossed(value, trusted: bool = False):
    """A value after it has gone over the wire."""
    return loads(dumps(value, trusted))


def alike(one, other) -> bool:
    """Whether two values are equal and of the same types all the way down; not-a-number equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return alike(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, (set, frozenset)):
        return one == other and {type(item) for item in one} == {type(item) for item in other}
    return repr(one) == repr(other)


CARRIED = [
    None, True, False, 0, 1, -1, 2**63 - 1, 2**63, -(2**63), 2**200, 0.0, -0.0, 0.1, 1e308, 5e-324,
    math.inf, -math.inf, math.nan, 1j, complex(-0.0, math.inf),
    "", "text", "\0", "\u00e9\u4e2d\U0001f600", "\ud800", "'\"\\\n", b"", b"\x00\xff", bytearray(b"ab"),
    [], [1, 2], [[], [[]]], (), (1,), (1, [2, (3,)]), {}, {"a": 1},
    {1: "a", (1, 2): [3], None: True, 2.5: b"x", frozenset({1}): {}},
    set(), {1, 2}, {(1, 2), "a"}, frozenset({3}), collections.deque([1, 2]), collections.Counter("aab"),
    collections.OrderedDict([("b", 1), ("a", 2)]), range(5), range(10, 0, -3), range(0),
    decimal.Decimal("1.10"), decimal.Decimal("NaN"), decimal.Decimal("-0E+3"), fractions.Fraction(-2, 3),
    datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4), datetime.timedelta(-1, 2, 3),
    datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=30))),
    int, str, list, type, {"tuple": [1]}, {"int": "ff"}, {"foreign": ["a", True]},
]  # fmt: skip


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("value", CARRIED, ids=repr)
def test_value_arrives_as_it_is(value, trusted):
    assert alike(crossed(value, trusted), value)
    assert alike(crossed([{"key": (value,)}], trusted), [{"key": (value,)}])


def test_long_integer_crosses_beyond_the_decimal_limit():
    number = 10**5000 + 1
    assert crossed([number, -number, 1]) == [number, -number, 1]


def random_value(rng: random.Random, depth: int = 0):
    """A value of any carried type, nested up to four levels."""
    leaves = [
        lambda: rng.randint(-(10**20), 10**20),
        lambda: rng.uniform(-1e9, 1e9),
        lambda: "".join(chr(rng.randrange(1, 0x3000)) for _ in range(rng.randrange(6))),
        lambda: rng.randbytes(rng.randrange(5)),
        lambda: rng.choice([None, True, False]),
        lambda: (rng.randrange(9), rng.random()),
    ]
    nested = [
        lambda: [random_value(rng, depth + 1) for _ in range(rng.randrange(4))],
        lambda: tuple(random_value(rng, depth + 1) for _ in range(rng.randrange(4))),
        lambda: {rng.randrange(100): random_value(rng, depth + 1) for _ in range(rng.randrange(4))},
        lambda: {rng.choice("abc"): random_value(rng, depth + 1) for _ in range(rng.randrange(4))},
        lambda: {rng.choice([1, "a", (2, b"x"), 2.5]) for _ in range(rng.randrange(4))},
        lambda: collections.deque([random_value(rng, depth + 1)]),
    ]
    return rng.choice(leaves if depth >= 4 else leaves + 2 * nested)()


def test_thousand_random_values_arrive_as_they_are():
    rng = random.Random(0)
    for _ in range(1000):
        value = random_value(rng)
        assert alike(crossed(value), value), value


class Text(str):
    """A string that claims to equal everything."""

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__

    def __str__(self):
        return "another"


class Number(int):
    """An integer that claims to equal everything."""

    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class Pieces(list):
    """A list that claims to equal everything."""

    def __eq__(self, other):
        return True


class Colour(enum.IntEnum):
    RED = 1


class Named(typing.NamedTuple):
    first: int
    second: object


@dataclasses.dataclass
class Point:
    x: int
    y: object

    def __eq__(self, other):
        return True


class Opaque:
    """An object of the code's own class that claims to equal everything."""

    def __eq__(self, other):
        return True


def sub(base: type, *arguments):
    """An instance of an otherwise empty subclass."""
    return type("Sub", (base,), {})(*arguments)


FLATTENED = [
    (Number(5), 5), (Text("a"), "a"), (Pieces([1]), [1]), (Colour.RED, 1), (sub(bytes, b"x"), b"x"),
    (sub(float, 1.5), 1.5), (sub(complex, 1j), 1j), (sub(set, {1}), {1}), (sub(frozenset, {1}), frozenset({1})),
    (sub(tuple, (1,)), (1,)), (sub(dict, {"a": 1}), {"a": 1}), (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (sub(collections.deque, [1]), collections.deque([1])),
]  # fmt: skip


@pytest.mark.parametrize("value, plain", FLATTENED, ids=repr)
def test_subclass_arrives_as_its_plain_value(value, plain):
    assert alike(crossed([value]), [plain])


@pytest.mark.parametrize("liar", [Opaque(), Number(5), Text("a"), Pieces([1]), Point(1, 2)], ids=repr)
def test_lying_equality_does_not_cross(liar):
    arrived = crossed(liar)
    assert arrived != "other" and "other" != arrived and arrived != [] and arrived != 6


def test_named_tuple_keeps_its_fields_and_equals_a_tuple():
    arrived = crossed(Named(1, [2]))
    assert arrived == (1, [2]) and (arrived.first, arrived.second) == (1, [2])


def test_dataclass_arrives_as_its_fields():
    arrived = crossed(Point(1, [2]))
    assert type(arrived) is Record and (arrived.x, arrived.y) == (1, [2])


def test_iterator_arrives_as_an_iterator_over_its_items():
    assert [*crossed(n * n for n in range(4))] == [0, 1, 4, 9]
    arrived = crossed(iter([1, 2]))
    assert next(arrived) == 1 and next(arrived) == 2 and next(arrived, None) is None
    endless = crossed(itertools.count())
    assert [*itertools.islice(endless, 5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueLimit, match="more than"):
        list(endless)


def test_dict_views_compare_as_views():
    table = {"a": 1, "b": 2}
    assert crossed(table.keys()) == {"a", "b"} and crossed(table.items()) == {("a", 1), ("b", 2)}
    assert list(crossed(table.values())) == [1, 2]


NOT_CARRIED = [
    Opaque(), lambda: 1, array.array("i", [1]), ValueError("no"), print, Opaque, memoryview(b"a"), object(),
    ..., NotImplemented, math,
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_CARRIED, ids=repr)
def test_anything_else_is_foreign_from_the_code_and_not_carried_from_the_test(value):
    arrived = crossed({"key": [value]})["key"][0]
    assert type(arrived) is Foreign and arrived == arrived and arrived != loads(dumps(value, trusted=False))
    assert type(value).__name__ in repr(arrived)
    with pytest.raises(NotCarried):
        dumps([value], trusted=True)


def test_foreign_keeps_its_truth_value():
    assert crossed(Opaque()) and not crossed(type("Empty", (), {"__len__": lambda self: 0})())


def test_foreign_cannot_be_handed_back():
    """Else the code would choose by what it returns how its test is run."""
    for value in (crossed(Opaque()), crossed(Point(1, 2))):
        with pytest.raises(ValueLimit):
            dumps([value], trusted=True)


def nested(depth: int):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_limited_on_both_sides():
    assert crossed(nested(values.MAX_DEPTH - 1)) == nested(values.MAX_DEPTH - 1)
    deep = crossed(nested(values.MAX_DEPTH + 50))
    while type(deep) is list:
        (deep,) = deep
    assert type(deep) is Foreign
    with pytest.raises((NotCarried, ValueLimit)):
        dumps(nested(values.MAX_DEPTH + 50), trusted=True)
    with pytest.raises(ValueLimit):
        loads(b"[" * 400 + b'{"set":[]}' + b"]" * 400)
    with pytest.raises(ValueLimit):
        loads(b'{"tuple":[' * 400 + b"]}" * 400)
    with pytest.raises(ValueLimit):
        loads(b"[" * 100_000 + b"]" * 100_000)


def test_cycle_is_no_value():
    cycle: list = []
    cycle.append(cycle)
    assert type(crossed(cycle)) is list
    table: dict = {}
    table["self"] = table
    assert type(crossed(table)) is dict


def test_size_is_limited():
    with pytest.raises(ValueLimit, match="bytes, limit"):
        dumps("a" * (values.MAX_FRAME + 1), trusted=False)
    assert len(crossed("a" * (values.MAX_FRAME - 100))) == values.MAX_FRAME - 100


HOSTILE = [
    b"", b"{", b"nonsense", b"\xff", b'"\xc3\xa9"', b"[1,]", b"1 2", b"{}", b"9" * 5000,
    b'{"a":1,"b":2}', b'{"nosuchtag":1}', b'{"tuple":1}', b'{"tuple":null}', b'{"set":[[1]]}',
    b'{"set":[{"dict":[]}]}', b'{"dict":[[1]]}', b'{"dict":[[[],1]]}', b'{"dict":1}', b'{"int":"zz"}',
    b'{"int":5}', b'{"bytes":"x"}', b'{"bytes":1}', b'{"complex":["a","b"]}', b'{"Decimal":"x"}',
    b'{"Fraction":["1","0"]}', b'{"datetime":"never"}', b'{"datetime":1}', b'{"timedelta":[1e400,0,0]}',
    b'{"timedelta":["a"]}', b'{"range":[0,1,0]}', b'{"range":[0,"a",1]}', b'{"range":[0,99999999,1]}',
    b'{"range":[0,1e3,1]}', b'{"type":"print"}', b'{"type":"__import__"}', b'{"type":"nosuchtype"}',
    b'{"type":1}', b'{"type":"__doc__"}', b'{"namedtuple":[["a"],[1,2]]}', b'{"namedtuple":[[1],[1]]}',
    b'{"namedtuple":[["a"],5]}', b'{"namedtuple":[]}', b'{"record":[["a"]]}', b'{"record":[[1,2]]}',
    b'{"record":5}', b'{"foreign":[]}', b'{"foreign":5}', b'{"ndarray":["O",[1]]}', b'{"ndarray":["<V8",[1]]}',
    b'{"ndarray":[">i8,i8",[1]]}', b'{"ndarray":[1,[1]]}', b'{"keys":[[1]]}', b'{"items":[1]}', b'{"deque":5}',
    b'{"iter":5}', b'{"Counter":[1]}', b'{"OrderedDict":[1]}',
    json.dumps({"namedtuple": [[f"f{i}" for i in range(65)], [0] * 65]}).encode(),
    json.dumps({"record": [[f"f{i}", 0] for i in range(65)]}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: data[:40].decode("latin-1"))
def test_bytes_that_no_dumps_wrote_are_refused(data):
    with pytest.raises(ValueLimit):
        loads(data)


def test_forged_fields_name_attributes_and_nothing_more():
    forged = loads(b'{"record":[["__class__",1],["__dict__",2],["__eq__",3],["x",4]]}')
    assert type(forged) is Record and forged.x == 4
    named = loads(b'{"namedtuple":[["class","_private","__eq__","import"],[1,2,3,4]]}')
    assert named == (1, 2, 3, 4) and named != (0,)


def test_mutated_bytes_give_a_value_or_a_limit_and_never_another_error():
    rng = random.Random(1)
    allowed = {type(value) for value in CARRIED} | {Foreign, Record, type(iter([])), type(values)}
    for _ in range(3000):
        data = bytearray(dumps(random_value(rng), trusted=False))
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(data))
            data[place : place + rng.randrange(2)] = rng.choice([b"", b'"', b"[", b"}", b"9", b"-", b"null",
            b"\xff"])
        try:
            value = loads(bytes(data))
        except ValueLimit:
            continue
        assert type(value) in allowed or isinstance(value, tuple), type(value)


def test_no_class_of_the_wire_comes_from_a_module():
    """A tag names a type of this file's tables and is never imported or looked up elsewhere."""
    for tag in ("os.system", "posix", "sandbox_values", "__reduce__", "eval", "Foreign"):
        with pytest.raises(ValueLimit):
            loads(json.dumps({tag: ["echo"]}).encode())


def test_numpy_arrives_as_numpy_and_compares_by_value():
    numpy = pytest.importorskip("numpy")
    for value in (numpy.arange(6).reshape(2, 3), numpy.array([0.5, numpy.nan]), numpy.array([True]),
                  numpy.array([1 + 2j]), numpy.array([1, 2], dtype="uint8"), numpy.zeros(0)):
        arrived = crossed(value)
        assert arrived.dtype == value.dtype and numpy.array_equal(arrived, value, equal_nan=True)
        assert arrived.shape == value.shape
    for scalar, plain in ((numpy.int64(3), 3), (numpy.float64(0.5), 0.5), (numpy.bool_(1), True)):
        assert alike(crossed(scalar), plain)


def frames(*sizes: int) -> list[bytes]:
    return [bytes([place % 256]) * size for place, size in enumerate(sizes)]


def test_frames_arrive_whole_and_in_order():
    sent = frames(0, 1, 5, 70_000, 3_000_000, 2, 65_536)
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
    (struct.pack("=I", 0xFFFFFFFF), ValueLimit), (struct.pack("=I", values.MAX_FRAME + 1), ValueLimit),
])  # fmt: skip
def test_broken_frame_is_an_error_and_no_wait(data, error):
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    with pytest.raises(error):
        FrameReader(reading).read()
    os.close(reading)
