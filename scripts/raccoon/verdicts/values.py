"""Exchanges data between the judge and untrusted code: Python values as JSON in frames, never pickle.

`dumps` turns a value into bytes and `loads` rebuilds it from *exact types* of the tables below. So the writer of the
bytes can choose a value and nothing else: no `__eq__`, no `__reduce__` and no code is sent. Whatever is not in the
tables is sent as a number by a `heap` (heap.py), which also keeps the identity of lists and other changing objects.
Without a heap such a value raises ValueLimit.

JSON carries None, bool, int, float, str and list as they are; any other value is an object with one key, its tag:
{"tuple": [1, 2]}, {"dict": [[keys], [values]]}, {"int": "-ff"} (too long for decimal) and so on.
"""

import array
import base64
import builtins
import collections
import dataclasses
import datetime
import decimal
import fractions
import json
import os
import sys
import types
import uuid
from collections.abc import Callable
from typing import Any

from raccoon.verdicts import sets

WALLS_STAND = b"walls stand"  # a child's first frame, sent before any code of its program runs
COMPILED = b"c"  # the first byte of the frame with the compiled program
MAX_FRAME = 128 << 20  # bytes of one message on the wire
MAX_DEPTH = 100  # levels of nesting in one message; lists and the like beyond it are sent by number
MAX_FIELDS = 64  # of a namedtuple
HANDLE = "__handle__"  # attribute in the judge: whom to ask about an instance of the code's own subclass

STANDARD_MODULES = sys.stdlib_module_names | {"builtins"}  # both sides know their classes by name
TEXT = ("utf-8", "surrogatepass")  # so that two lone surrogates do not become one character
LEAVES = frozenset({type(None), bool, int, float, str})
JSON_INT = 1 << 63  # a larger int is sent in hexadecimal: decimal takes quadratic time and Python limits it
CONSTANTS = {"Ellipsis": ..., "NotImplemented": NotImplemented}
TEXTS = {  # a value <-> the string or list of numbers that describes it completely
    "bytes": (bytes, bytes.hex, bytes.fromhex),
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
    "range": (
        range,
        lambda r: [f"{r.start:x}", f"{r.stop:x}", f"{r.step:x}"],
        lambda parts: range(*(int(part, 16) for part in parts)),
    ),
    "UUID": (uuid.UUID, lambda u: u.hex, uuid.UUID),
    "timezone": (
        datetime.timezone,
        lambda z: [z.utcoffset(None).total_seconds(), z.tzname(None)],
        lambda parts: _timezone(*parts),
    ),
}
TEXT_TAGS = {kind: tag for tag, (kind, _, _) in TEXTS.items()}
VIEWS = {
    type({}.keys()): ("keys", lambda items: dict.fromkeys(items).keys()),
    type({}.values()): ("values", lambda items: dict(enumerate(items)).values()),
    type({}.items()): ("items", lambda items: dict(items).items()),
}
NUMPY_KINDS = "biufcmMSUV"  # the kinds of dtypes whose bytes say everything; other arrays are sent item by item


@dataclasses.dataclass(frozen=True)
class Kind:
    """A class whose instances change: `take` reads their contents as columns (lists of values), `put` replaces them.

    `make` gives an empty instance of a class; the columns are there for what cannot be changed later.
    """

    tag: str
    take: Callable[[Any], list[list]]
    put: Callable[[Any, list[list]], None]
    make: Callable[[type, list[list]], Any] = lambda kind, columns: kind.__new__(kind)


def _put_dict(found: dict, columns: list[list]) -> None:
    dict.clear(found)
    for key, value in zip(*columns[:2], strict=True):
        dict.__setitem__(found, key, value)


def _put_ordered(found: collections.OrderedDict, columns: list[list]) -> None:
    collections.OrderedDict.clear(found)
    for key, value in zip(*columns, strict=True):
        collections.OrderedDict.__setitem__(found, key, value)


def _put_default(found: collections.defaultdict, columns: list[list]) -> None:
    found.default_factory = columns[2][0]
    _put_dict(found, columns)


def _put_set(found: set, columns: list[list]) -> None:
    """Changes item by item, as on the other side, so that the set iterates in the same order."""
    items, layout = columns
    if layout and not set.__len__(found):
        sets.fill(found, items, layout[0], layout[1:])
        return
    set.difference_update(found, set(set.__iter__(found)) - set(items))
    for item in items:
        set.add(found, item)


def _put_deque(found: collections.deque, columns: list[list]) -> None:
    collections.deque.clear(found)
    collections.deque.extend(found, columns[0])


def _make_deque(kind: type, columns: list[list]) -> collections.deque:
    found = kind.__new__(kind)
    collections.deque.__init__(found, (), columns[1][0])
    return found


def fields(found: Any) -> dict[str, Any]:
    """The attributes of an instance, without the one in which the judge keeps whom to ask about it."""
    return {name: value for name, value in vars(found).items() if name != HANDLE}


def put_fields(found: Any, columns: list[list]) -> None:
    """Replaces the attributes of an instance."""
    new = dict(zip(*columns, strict=True))
    new.pop(HANDLE, None)
    for name in fields(found):
        del vars(found)[name]
    vars(found).update(new)


def _put_array(found: array.array, columns: list[list]) -> None:
    del found[:]
    found.frombytes(bytes.fromhex(columns[0][1]))


def _make_numpy(kind: type, columns: list[list]):
    import numpy

    return numpy.zeros(columns[1], dtype=columns[0][0])


def _put_numpy(found, columns: list[list]) -> None:
    import numpy

    (dtype, raw), shape = columns
    numpy.copyto(found, numpy.frombuffer(base64.b64decode(raw), dtype=dtype).reshape(shape))


KINDS: dict[type, Kind] = {
    list: Kind("list", lambda v: [list.copy(v)], lambda v, c: list.__setitem__(v, slice(None), c[0])),
    dict: Kind("dict", lambda v: [[*dict.keys(v)], [*dict.values(v)]], _put_dict),
    set: Kind("set", lambda v: [[*set.__iter__(v)], sets.layout(v) if type(v) is set else []], _put_set),
    collections.deque: Kind(
        "deque", lambda v: [[*collections.deque.__iter__(v)], [v.maxlen]], _put_deque, _make_deque
    ),
    collections.Counter: Kind("Counter", lambda v: [[*dict.keys(v)], [*dict.values(v)]], _put_dict),
    collections.OrderedDict: Kind(
        "OrderedDict",
        lambda v: [
            names := [*collections.OrderedDict.__iter__(v)],
            [dict.__getitem__(v, name) for name in names],
        ],
        _put_ordered,
    ),
    collections.defaultdict: Kind(
        "defaultdict", lambda v: [[*dict.keys(v)], [*dict.values(v)], [v.default_factory]], _put_default
    ),
    bytearray: Kind(
        "bytearray", lambda v: [[bytearray.hex(v)]], lambda v, c: v.__setitem__(slice(None), bytes.fromhex(c[0][0]))
    ),
    array.array: Kind(
        "array",
        lambda v: [[v.typecode, array.array.tobytes(v).hex()]],
        _put_array,
        lambda kind, columns: array.array.__new__(kind, columns[0][0]),
    ),
    types.SimpleNamespace: Kind("SimpleNamespace", lambda v: [[*fields(v)], [*fields(v).values()]], put_fields),
    collections.UserDict: Kind("UserDict", lambda v: [["data"], [v.data]], put_fields),
    collections.UserList: Kind("UserList", lambda v: [["data"], [v.data]], put_fields),
    collections.UserString: Kind("UserString", lambda v: [["data"], [v.data]], put_fields),
    collections.ChainMap: Kind("ChainMap", lambda v: [["maps"], [v.maps]], put_fields),
}
ARRAY = Kind(  # numpy's, which may not be installed
    "ndarray",
    lambda v: [[v.dtype.str, base64.b64encode(v.tobytes()).decode()], [*v.shape]],
    _put_numpy,
    _make_numpy,
)
TAGS = {kind.tag: (base, kind) for base, kind in KINDS.items()} | {"ndarray": (None, ARRAY)}
IMMUTABLE_BASES = {base.__name__: base for base in (int, float, str, bytes, complex, tuple, frozenset)}


def _timezone(seconds: float, name: str) -> datetime.timezone:
    offset = datetime.timedelta(seconds=seconds)
    plain = datetime.timezone(offset)
    return plain if plain.tzname(None) == name else datetime.timezone(offset, name)


def _json_writer():
    """A function from plain data to JSON text. Python's encoder makes a new C object for each value; this keeps one."""
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, ensure_ascii=False)  # messages are trees
    make = json.encoder.c_make_encoder
    if make is None:  # a Python without the C module
        return encoder.encode
    encode = make(None, encoder.default, json.encoder.c_encode_basestring, None, ":", ",", False, False, True)
    return lambda value: "".join(encode(value, 0))


_read, _write = os.read, os.write  # a test beside the code may replace those of the module
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


class Inline(list):
    """A list of the protocol, such as the arguments of a call: not a value of the test or the code."""


class ValueLimit(Exception):
    """A value that cannot be sent: too large, too deep, or bytes that `dumps` would not have written."""


# --- out --------------------------------------------------------------------------------------------------------------


def dumps(value, heap=None) -> bytes:
    """The bytes of one message. Raises ValueLimit beyond MAX_FRAME bytes or for a value that cannot be sent."""
    if heap is not None:
        heap.begin()
    try:
        data = _to_json(_message(value, False, heap)).encode(*TEXT)
    except ValueError:  # an int of more decimal digits than Python converts, in a list of plain leaves
        data = _to_json(_message(value, True, heap)).encode(*TEXT)
    if len(data) > MAX_FRAME:
        raise ValueLimit(f"value of {len(data):,} bytes, limit {MAX_FRAME:,}")
    return data


def _message(value, long_ints: bool, heap):
    """The value, or {"heap": [new objects, changed objects, value]} if objects cross with it."""
    body = _encode(value, 0, long_ints, heap)
    if heap is None:
        return body
    changed = [[number, _columns(columns, 1, long_ints, heap)] for number, columns in heap.changed.items()]
    new: list[list] = []
    while len(new) < len(heap.fresh):  # contents may add more; a loop does not nest as recursion would
        number, header, columns = heap.fresh[len(new)]
        new.append([number, *header, _columns(columns, 1, long_ints, heap)])
    return {"heap": [new, changed, body]} if new or changed else body


def _columns(columns: list[list], depth: int, long_ints: bool, heap) -> list[list]:
    return [
        column
        if not long_ints and LEAVES.issuperset(map(type, column))
        else [_encode(value, depth, long_ints, heap) for value in column]
        for column in columns
    ]


def _encode(value, depth: int, long_ints: bool, heap):
    kind = type(value)
    if kind in LEAVES:
        if long_ints and kind is int and not -JSON_INT < value < JSON_INT:
            return {"int": f"{value:x}"}
        return value
    if kind is Inline:
        return [_encode(v, depth, long_ints, heap) for v in value]
    if heap is not None and kind in KINDS and (depth >= MAX_DEPTH or heap.tracks or KINDS[kind].put is put_fields):
        return heap.reference(value, KINDS[kind])
    if depth >= MAX_DEPTH:
        raise ValueLimit(f"nested deeper than {MAX_DEPTH}")
    inner = (depth + 1, long_ints, heap)
    if kind is list:
        return (
            value if not long_ints and LEAVES.issuperset(map(type, value)) else [_encode(v, *inner) for v in value]
        )
    if kind is tuple:
        parts = {"tuple": [_encode(v, *inner) for v in value]}
        return heap.numbered(value, parts) if depth == 0 and heap is not None and heap.tracks else parts
    if kind in KINDS:
        return {KINDS[kind].tag: _columns(KINDS[kind].take(value), *inner)}
    return _encode_rare(value, kind, inner)


def _encode_rare(value, kind: type, inner: tuple):
    heap = inner[-1]
    if kind in TEXT_TAGS:
        return {TEXT_TAGS[kind]: TEXTS[TEXT_TAGS[kind]][1](value)}
    if kind is frozenset:
        return {"frozenset": [[_encode(v, *inner) for v in value], sets.layout(value)]}
    if kind in VIEWS:
        return {VIEWS[kind][0]: [_encode(v, *inner) for v in value]}
    if kind is types.MappingProxyType:
        return {"mappingproxy": _columns([[*value], [*value.values()]], *inner)}
    if kind is slice:
        return {"slice": [_encode(v, *inner) for v in (value.start, value.stop, value.step)]}
    if kind is type and (getattr(builtins, value.__name__, None) is value or value is type(None)):
        return {"type": value.__name__}
    for name, constant in CONSTANTS.items():
        if value is constant:
            return {"constant": name}
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "dtype"):
        return _encode_numpy(value, kind, inner)
    if heap is None:
        raise ValueLimit(f"{kind.__name__} object")
    return heap.encoded(value, kind, lambda plain: _encode(plain, *inner))


def _encode_numpy(value, kind: type, inner: tuple):
    """{"numpy": [class, dtype, shape, bytes]}, or {"numpy_items": [class, shape, items]}, and a mask if it has one."""
    data = getattr(value, "data", value) if kind.__name__ == "MaskedArray" else value
    is_scalar = not hasattr(value, "setflags") or value.ndim == 0 and kind.__name__ != "ndarray"
    name = "scalar" if is_scalar else kind.__name__
    shape, dtype = list(value.shape), value.dtype
    mask = [value.mask.ravel().tolist()] if kind.__name__ == "MaskedArray" else []
    if dtype.kind in NUMPY_KINDS and not dtype.hasobject:
        if name == "ndarray" and not dtype.names and inner[-1] is not None and inner[-1].tracks:
            return inner[-1].reference(value, ARRAY)
        raw = base64.b64encode(data.tobytes()).decode()
        return {"numpy": [name, dtype.descr if dtype.names else dtype.str, shape, raw, *mask]}
    return {"numpy_items": [name, shape, [_encode(v, *inner) for v in data.ravel().tolist()], *mask]}


def plain(data: bytes):
    """The value of a frame that only holds JSON. Raises ValueError for any other."""
    return _from_json(data.decode(*TEXT))


def all_plain(values: list) -> bool:
    """Whether all values, as JSON gives them, are None, numbers, texts or lists of those."""
    for value in values:
        kind = type(value)
        if kind not in LEAVES and not (kind is list and LEAVES.issuperset(map(type, value))):
            return False
    return True


def write_plain(descriptor: int, result) -> bool:
    """Writes the reply ["ok", result] if the result is as plain as `all_plain` says, which most are. Else False."""
    kind = type(result)
    if kind not in LEAVES and not (kind is list and LEAVES.issuperset(map(type, result))):
        return False
    try:
        data = b'["ok",' + _to_json(result).encode(*TEXT) + b"]"
    except ValueError:  # an int of more decimal digits than Python converts
        return False
    if len(data) > MAX_FRAME:
        return False
    write_frame(descriptor, data)
    return True


# --- in ---------------------------------------------------------------------------------------------------------------

DECODING_ERRORS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, BufferError,
)  # fmt: skip


def loads(data: bytes, heap=None):
    """The value that `dumps` wrote, of exact types. Raises ValueLimit for any other bytes."""
    if not data:
        raise ValueLimit("too large to be sent")
    try:
        value = _from_json(data.decode(*TEXT))
        if heap is not None and type(value) is dict and "heap" in value:
            new, changed, value = value["heap"]
            heap.receive(new, changed, _decode)
        return _decode(value, 0, heap)
    except DECODING_ERRORS as error:
        raise ValueLimit(f"not a value: {type(error).__name__}") from None


def decoded(value: list, heap):
    """The values in a list of the protocol that came as plain JSON."""
    return _decode(value, 0, heap)


def _decode(value, depth: int, heap):
    if type(value) is list:
        if LEAVES.issuperset(map(type, value)):
            return value
        if depth > MAX_DEPTH + 1:
            raise ValueLimit(f"nested deeper than {MAX_DEPTH}")
        return [_decode(v, depth + 1, heap) for v in value]
    if type(value) is not dict:
        return value
    if depth > MAX_DEPTH + 1 or len(value) != 1:
        raise ValueLimit("not exactly one tag, or nested too deep")
    [(tag, payload)] = value.items()
    if tag == "tuple":
        return tuple(_decode(list(payload), depth, heap))
    if tag in TAGS:
        base, kind = TAGS[tag]
        if heap is not None and kind.put is put_fields:
            raise ValueLimit("attributes without a number")  # the heap looks at them
        columns = [_decode(column, depth, heap) for column in payload]
        found = kind.make(base, columns)
        kind.put(found, columns)
        return found
    if tag in TEXTS:
        return TEXTS[tag][2](payload)
    if tag in DECODERS:
        return DECODERS[tag](payload, depth + 1, heap)
    if heap is None:
        raise ValueLimit(f"the tag {tag[:20]!r}")
    return heap.decoded(tag, payload, lambda plain: _decode(plain, depth + 1, heap))


def _decode_frozenset(payload: list, depth: int, heap) -> frozenset:
    items, layout = _decode(payload[0], depth, heap), payload[1]
    return sets.rebuilt(items, layout[0], layout[1:]) if layout else frozenset(items)


def _decode_type(name: str, depth: int, heap) -> type:
    found = type(None) if name == "NoneType" else getattr(builtins, name)
    if type(found) is not type or found.__name__ != name:
        raise ValueLimit(f"not a builtin type: {name!r}")
    return found


def _decode_numpy(payload: list, depth: int, heap):
    import numpy

    name, dtype, shape, raw, *mask = payload
    plain = numpy.dtype(dtype if type(dtype) is str else [(str(field), *kind) for field, *kind in dtype])
    if plain.kind not in NUMPY_KINDS or plain.hasobject:
        raise ValueLimit("dtype")
    found = numpy.frombuffer(base64.b64decode(raw), dtype=plain).reshape(shape).copy()
    return found[()] if name == "scalar" else _numpy_class(found, name, mask)


def _decode_numpy_items(payload: list, depth: int, heap):
    import numpy

    name, shape, items, *mask = payload
    found = numpy.empty(len(items), dtype=object)
    found[:] = _decode(items, depth, heap)
    found = found.reshape(shape)
    return found[()] if name == "scalar" else _numpy_class(found, name, mask)


def _numpy_class(found, name: str, mask: list):
    """The array as the class that it had; that of a subclass of the code's own is an ndarray."""
    import numpy

    if name == "matrix":
        return found.view(numpy.matrix)
    if name != "MaskedArray":
        return found
    mask = numpy.array(mask[0], dtype=bool)
    return numpy.ma.masked_array(found, mask.reshape(found.shape) if mask.size > 1 or found.size == 1 else mask.any())


DECODERS = {
    "int": lambda text, depth, heap: int(text, 16),
    "frozenset": _decode_frozenset,
    "type": _decode_type,
    "constant": lambda name, depth, heap: CONSTANTS[name],
    "slice": lambda parts, depth, heap: slice(*_decode(parts, depth, heap)),
    "mappingproxy": lambda columns, depth, heap: types.MappingProxyType(
        dict(zip(*_decode(columns, depth, heap), strict=True))
    ),
    "numpy": _decode_numpy,
    "numpy_items": _decode_numpy_items,
    **{
        tag: (lambda items, depth, heap, make=make: make(_decode(items, depth, heap))) for tag, make in VIEWS.values()
    },
}


# --- frames -----------------------------------------------------------------------------------------------------------


def write_frame(descriptor: int, *datas: bytes) -> None:
    """Writes frames (length, then data) whole, at once. Raises OSError if the other side has gone."""
    frame = b"".join([part for data in datas for part in (len(data).to_bytes(4, sys.byteorder), data)])
    written = _write(descriptor, frame)
    while written < len(frame):
        written += _write(descriptor, memoryview(frame)[written:])


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
            parts.append(_read(self._descriptor, max(65536, min(size - have, 1 << 20))))
            have += len(parts[-1])
            if not parts[-1]:
                raise EOFError("the other side has closed the channel")
        self._ahead = b"".join(parts)
