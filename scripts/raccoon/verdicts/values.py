"""Exchanges plain data between the judge and untrusted code: Python values as JSON in frames, never pickle.

`dumps` turns a value into bytes and `loads` rebuilds it from *exact builtin types*. A subclass arrives as its base
value, a generator as an iterator over its items, and an object of any other class as `Foreign`, which equals nothing.
So the writer of the bytes can choose a value and nothing else: no `__eq__`, no `__reduce__` and no code is sent. A
`carrier` (carriers.py) adds objects of the context's classes by their fields, and numbers for the code's own objects.

JSON carries None, bool, int, float, str and list as they are; any other value is an object with one key, its tag:
{"tuple": [1, 2]}, {"set": [...]}, {"dict": [[key, value], ...]}, {"int": "-ff"} (too long for decimal) and so on.
"""

import builtins
import collections
import datetime
import decimal
import fractions
import itertools
import json
import os
import sys
import types

from raccoon.verdicts.needs import CARRIED_METHODS

WALLS_STAND = b"walls stand"  # a child's first frame, sent before any code of its program runs
COMPILED = b"c"  # the first byte of the frame with the compiled program
MAX_FRAME = 16 << 20  # bytes of one value on the wire
MAX_DEPTH = 100  # levels of nesting
MAX_ITEMS = 100_000  # items taken from an iterator
MAX_RANGE = 10_000_000  # length of a range object
MAX_FIELDS = 64  # of a namedtuple or dataclass

STANDARD_MODULES = sys.stdlib_module_names | {"builtins"}  # both sides know their classes by name
LEAVES = frozenset({type(None), bool, int, float, str})
JSON_INT = 1 << 63  # a larger int is sent in hexadecimal: decimal takes quadratic time and Python limits it
SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque, "iter": iter}
VIEWS = {
    type({}.keys()): ("keys", lambda items: dict.fromkeys(items).keys()),
    type({}.values()): ("values", lambda items: dict(enumerate(items)).values()),
    type({}.items()): ("items", lambda items: dict(items).items()),
}
DICTS = {dict: "dict", collections.Counter: "Counter", collections.OrderedDict: "OrderedDict"}
TEXTS = {  # a value <-> the string or list of numbers that describes it completely
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "bytearray": (bytearray, bytearray.hex, bytearray.fromhex),
    "complex": (complex, lambda z: [z.real, z.imag], lambda pair: complex(*pair)),
    "Decimal": (decimal.Decimal, str, lambda text: decimal.Decimal(str(text))),
    "Fraction": (
        fractions.Fraction,
        lambda q: [f"{q.numerator:x}", f"{q.denominator:x}"],
        lambda pair: fractions.Fraction(*(int(part, 16) for part in pair)),
    ),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "timedelta": (
        datetime.timedelta,
        lambda d: [d.days, d.seconds, d.microseconds],
        lambda parts: datetime.timedelta(*parts),
    ),
}
NUMPY_KINDS = "biufc"  # bool, integers, floats, complex; other arrays are sent as lists


def _json_writer():
    """A function from plain data to JSON text. Python's encoder makes a new C object for each value; this keeps one."""
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)  # values are trees here
    make = json.encoder.c_make_encoder
    if make is None:  # a Python without the C module
        return encoder.encode
    encode = make(None, encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda value: "".join(encode(value, 0))


_to_json = _json_writer()
_scan_json = json.JSONDecoder().scan_once


def _from_json(text: str):
    """The value of a JSON text without white space around it. Raises ValueError for any other text."""
    try:
        value, end = _scan_json(text, 0)
    except StopIteration:
        raise ValueError("not a JSON value") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


class ValueLimit(Exception):
    """A value that cannot be sent: too large, too deep, or bytes that `dumps` would not have written."""


class NotCarried(BaseException):
    """A value of the trusted side that plain data cannot express (a callback, an object of a test's own class).

    Not an Exception, so that a test that catches those does not catch it.
    """


class Foreign:
    """Represents an object of a class that is not sent. It has a truth value and equals only itself."""

    def __init__(self, name: str, truth: bool):
        self._name, self._truth = name, truth

    def __bool__(self) -> bool:
        return self._truth

    def __repr__(self) -> str:
        return f"<{self._name} object>"


class Record(types.SimpleNamespace):
    """The fields of a dataclass instance."""


# --- out --------------------------------------------------------------------------------------------------------------


def dumps(value, trusted: bool, carrier=None) -> bytes:
    """The bytes of one value. A value that cannot be sent raises NotCarried on the trusted side, else becomes Foreign.

    Raises ValueLimit beyond MAX_FRAME bytes.
    """
    try:
        data = _to_json(_encode_whole(value, trusted, False, carrier)).encode()
    except ValueError:  # an int of more decimal digits than Python converts, in a list of plain leaves
        data = _to_json(_encode_whole(value, trusted, True, carrier)).encode()
    if len(data) > MAX_FRAME:
        raise ValueLimit(f"value of {len(data):,} bytes, limit {MAX_FRAME:,}")
    return data


def _encode_whole(value, trusted: bool, long_ints: bool, carrier):
    """One message: the value, or {"graph": [structures, value]} if it contains structures of the context."""
    if carrier is None:
        return _encode(value, 0, trusted, long_ints, None)
    carrier.begin()
    whole, nodes = _encode(value, 0, trusted, long_ints, carrier), []
    while len(nodes) < len(carrier.found):  # fields may add more; a loop does not nest as recursion would
        name, fields = carrier.found[len(nodes)]
        pairs = [[field, _encode(inner, 0, trusted, long_ints, carrier)] for field, inner in fields.items()]
        nodes.append([name, pairs])
    return {"graph": [nodes, whole]} if nodes else whole


def _encode(value, depth: int, trusted: bool, long_ints: bool, carrier):
    kind = type(value)
    if kind in LEAVES:
        if long_ints and kind is int and not -JSON_INT < value < JSON_INT:
            return {"int": f"{value:x}"}
        return value
    if depth >= MAX_DEPTH:
        return _beyond_limits(value, trusted, carrier)
    inner = (depth + 1, trusted, long_ints, carrier)
    if kind is list:
        return (
            value if not long_ints and LEAVES.issuperset(map(type, value)) else [_encode(v, *inner) for v in value]
        )
    if kind is tuple:
        return {"tuple": [_encode(v, *inner) for v in value]}
    if kind in DICTS:
        return {DICTS[kind]: [[_encode(k, *inner), _encode(v, *inner)] for k, v in value.items()]}
    return _encode_rare(value, kind, inner)


def _encode_rare(value, kind: type, inner: tuple):
    _, trusted, _, carrier = inner
    if kind in (set, frozenset, collections.deque):
        return {kind.__name__: [_encode(v, *inner) for v in value]}
    if kind is range:
        return {"range": [value.start, value.stop, value.step]}
    for tag, (base, to_text, _) in TEXTS.items():
        if kind is base:
            return {tag: to_text(value)}
    if kind in VIEWS:
        return {VIEWS[kind][0]: [_encode(v, *inner) for v in value]}
    if kind is type and getattr(builtins, value.__name__, None) is value:
        return {"type": value.__name__}
    if carrier is not None and (carried := carrier.encoded(value, kind)) is not None:
        return carried
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return {"namedtuple": [list(kind._fields), [_encode(v, *inner) for v in tuple(value)]]}
    if hasattr(kind, "__dataclass_fields__") and not (carrier is not None and carrier.objects):
        return {"record": [[name, _encode(getattr(value, name), *inner)] for name in kind.__dataclass_fields__]}
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return _encode_numpy(value, inner)
    if isinstance(value, collections.abc.Iterator):
        items = list(itertools.islice(value, MAX_ITEMS + 1))
        if len(items) > MAX_ITEMS and trusted:
            return _beyond_limits(value, trusted, carrier)
        tag = "iter" if len(items) <= MAX_ITEMS else "endless"
        return {tag: [_encode(v, *inner) for v in items[:MAX_ITEMS]]}
    for base, flatten in BASES:
        if isinstance(value, base):
            return _encode(flatten(value), *inner)
    return _not_carried(value, trusted, carrier)


BASES = (  # a subclass arrives as its plain value
    (int, int),
    (float, float),
    (str, lambda v: str.__str__(v)),
    (bytes, bytes),
    (complex, complex),
    (tuple, tuple),
    (list, list),
    (frozenset, frozenset),
    (set, set),
    (collections.deque, collections.deque),
    (dict, dict),
)


def _encode_numpy(value, inner: tuple):
    plain = value.tolist()
    if getattr(value, "ndim", 0) == 0:
        return _encode(plain, *inner)
    dtype = value.dtype
    return {"ndarray": [dtype.str if dtype.kind in NUMPY_KINDS else "", _encode(plain, *inner)]}


def _not_carried(value, trusted: bool, carrier):
    if not trusted and carrier is not None and carrier.objects:
        return carrier.kept(value)
    if not trusted:
        return {"foreign": [type(value).__name__[:100], bool(value)]}
    if isinstance(value, (Foreign, Record)):  # else the code could choose by its result how its test is run
        return _beyond_limits(value, trusted, carrier)
    raise NotCarried(type(value).__name__)


def _beyond_limits(value, trusted: bool, carrier):
    if not trusted:
        return _not_carried(value, trusted, carrier)
    raise ValueLimit(
        f"{type(value).__name__} that came from the code, or is nested too deep, cannot be passed to it"
    )


# --- in ---------------------------------------------------------------------------------------------------------------


def loads(data: bytes, carrier=None):
    """The value that `dumps` wrote, of exact builtin types. Raises ValueLimit for any other bytes.

    With a carrier it may contain instances of the context's classes and the carrier's forms of the code's objects.
    """
    if not data:
        raise ValueLimit("too large to be sent")
    try:
        return _decode_whole(_from_json(data.decode("ascii")), carrier)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueLimit(f"not a value: {type(error).__name__}") from None


def _decode_whole(value, carrier):
    if carrier is None:
        return _decode(value, 0, None)
    if type(value) is not dict or "graph" not in value:
        carrier.received = []
        return _decode(value, 0, carrier)
    nodes, whole = value["graph"]
    carrier.ready(nodes)  # empty at first, because their fields refer to each other
    for instance, (_, pairs) in zip(carrier.received, nodes, strict=True):
        carrier.fill(instance, {name: _field(name, _decode(inner, 0, carrier)) for name, inner in pairs})
    return _decode(whole, 0, carrier)


def _decode(value, depth: int, carrier):
    if type(value) is list:
        if LEAVES.issuperset(map(type, value)):
            return value
        if depth > MAX_DEPTH + 1:
            raise ValueLimit(f"nested deeper than {MAX_DEPTH}")
        return [_decode(v, depth + 1, carrier) for v in value]
    if type(value) is not dict:
        return value
    if depth > MAX_DEPTH + 1 or len(value) != 1:
        raise ValueLimit("not exactly one tag, or nested too deep")
    [(tag, payload)] = value.items()
    if tag in SEQUENCES:
        return SEQUENCES[tag](_decode(list(payload), depth + 1, carrier))
    if tag in TEXTS:
        return TEXTS[tag][2](payload)
    return DECODERS[tag](payload, depth + 1, carrier)


def _decode_range(payload: list, depth: int, carrier) -> range:
    numbers = range(*payload)
    if (
        not -JSON_INT < numbers.start < JSON_INT
        or not -JSON_INT < numbers.stop < JSON_INT
        or len(numbers) > MAX_RANGE
    ):
        raise ValueLimit(f"range longer than {MAX_RANGE:,}")
    return numbers


def _decode_namedtuple(payload: list, depth: int, carrier) -> tuple:
    fields, values = payload
    if len(fields) > MAX_FIELDS or not all(type(name) is str for name in fields):
        raise ValueLimit(f"more than {MAX_FIELDS} fields")
    named = zip(fields, _decode(values, depth, carrier), strict=True)
    return collections.namedtuple("Record", fields, rename=True)(*(_field(name, value) for name, value in named))


def _decode_record(payload: list, depth: int, carrier) -> Record:
    if len(payload) > MAX_FIELDS:
        raise ValueLimit(f"more than {MAX_FIELDS} fields")
    return Record(**{name: _field(name, _decode(value, depth, carrier)) for name, value in payload})


def _field(name: str, value):
    """The value of a field, or a Foreign instead of a class, which could be called like a method and please any test.

    The same for an object of the code in a field with the name of a method of plain values.
    """
    if isinstance(value, type):
        return Foreign(value.__name__, True)
    return Foreign("callable", True) if name in CARRIED_METHODS and callable(value) else value


def _decode_endless(payload: list, depth: int, carrier):
    """The first items of an iterator that has more. Asking for the rest raises an error."""
    return _first_of_many(_decode(payload, depth, carrier))


def _first_of_many(items: list):
    yield from items
    raise ValueLimit(f"an iterator of more than {MAX_ITEMS:,} items")


def _decode_ndarray(payload: list, depth: int, carrier):
    dtype, nested = payload
    items = _decode(nested, depth, carrier)
    try:
        import numpy
    except ImportError:
        return items
    if dtype and (dtype[1] not in NUMPY_KINDS or not dtype[2:].isdigit() or int(dtype[2:]) > 32):
        raise ValueLimit(f"dtype {dtype!r}")
    return numpy.array(items, dtype=dtype or None)


def _decode_foreign(payload: list, depth: int, carrier) -> Foreign:
    name, truth = payload
    return Foreign(str(name)[:100], truth is True)


def _decode_type(name: str, depth: int, carrier) -> type:
    found = getattr(builtins, name)
    if type(found) is not type:
        raise ValueLimit(f"not a builtin type: {name!r}")
    return found


def _decode_pairs(payload: list, depth: int, carrier) -> dict:
    return {_decode(key, depth, carrier): _decode(value, depth, carrier) for key, value in payload}


DECODERS = {
    "dict": _decode_pairs,
    "Counter": lambda pairs, depth, carrier: collections.Counter(_decode_pairs(pairs, depth, carrier)),
    "OrderedDict": lambda pairs, depth, carrier: collections.OrderedDict(_decode_pairs(pairs, depth, carrier)),
    "int": lambda text, depth, carrier: int(text, 16),
    "range": _decode_range,
    "endless": _decode_endless,
    "type": _decode_type,
    "namedtuple": _decode_namedtuple,
    "record": _decode_record,
    "ndarray": _decode_ndarray,
    "foreign": _decode_foreign,
    "node": lambda place, depth, carrier: carrier.received[place],
    "object": lambda pair, depth, carrier: carrier.object(*pair),
    "method": lambda pair, depth, carrier: carrier.method(*pair),
    "named": lambda name, depth, carrier: carrier.named(name),
    **{
        tag: (lambda items, depth, carrier, make=make: make(_decode(items, depth, carrier)))
        for tag, make in VIEWS.values()
    },
}


# --- frames -----------------------------------------------------------------------------------------------------------


def write_frame(descriptor: int, data: bytes) -> None:
    """Writes one frame (length, then `data`) whole. Raises OSError if the other side has gone."""
    frame = len(data).to_bytes(4, sys.byteorder) + data
    written = os.write(descriptor, frame)
    while written < len(frame):
        written += os.write(descriptor, memoryview(frame)[written:])


class FrameReader:
    """Reads frames from a descriptor with as few system calls as possible."""

    def __init__(self, descriptor: int):
        self._descriptor, self._ahead = descriptor, b""

    def read(self, limit: int = MAX_FRAME) -> bytes:
        """The next frame. Raises EOFError if the other side has gone, ValueLimit for a frame beyond `limit` bytes."""
        if len(self._ahead) < 4:
            self._fill(4)
        ahead = self._ahead
        size = int.from_bytes(ahead[:4], sys.byteorder)
        if size > limit:
            raise ValueLimit(f"frame of {size:,} bytes, limit {limit:,}")
        if len(ahead) < 4 + size:
            self._fill(4 + size)
            ahead = self._ahead
        self._ahead = ahead[4 + size :]
        return ahead[4 : 4 + size]

    def _fill(self, size: int) -> None:
        parts, have = [self._ahead], len(self._ahead)
        while have < size:
            parts.append(os.read(self._descriptor, max(65536, min(size - have, 1 << 20))))
            have += len(parts[-1])
            if not parts[-1]:
                raise EOFError("the other side has closed the channel")
        self._ahead = b"".join(parts)
