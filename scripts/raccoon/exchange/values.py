"""Exchanges data between the judge and untrusted code: Python values as JSON in frames, never pickle.

`dumps` turns a value into bytes and `loads` rebuilds it from *exact types* of the tables below. So the writer of the
bytes can choose a value and nothing else: no `__eq__`, no `__reduce__` and no code is sent. Whatever is not in the
tables is sent as a number by a `heap` (heap.py), which also keeps the identity of lists and other changing objects.
Without a heap such a value raises ValueLimit.

JSON carries None, bool, int, float, str and list as they are; any other value is an object with one key, its tag:
{"tuple": [1, 2]}, {"dict": [[keys], [values]]}, {"int": "-ff"} (too long for decimal) and so on.
"""

import base64
import builtins
import datetime
import decimal
import fractions
import json
import sys
import types
import uuid
from collections.abc import Callable
from typing import Any

from raccoon.exchange.frames import MAX_FRAME, ValueLimit, write_frame
from raccoon.exchange.kinds import ARRAY, KINDS, TAGS, frozenset_of, put_fields, set_layout

MAX_DEPTH = 100  # levels of nesting in one message; lists and the like beyond it are sent by number
MAX_FIELDS = 64  # of a namedtuple
MAX_ITEMS = 10_000  # taken from an iterator at once

STANDARD_MODULES = sys.stdlib_module_names | {"builtins"}  # both sides know their classes by name
TEXT = ("utf-8", "surrogatepass")  # so that two lone surrogates do not become one character
LEAVES = frozenset({type(None), bool, int, float, str})
JSON_INT = 1 << 63  # a larger int is sent in hexadecimal: decimal takes quadratic time and Python limits it
CONSTANTS = {"Ellipsis": ..., "NotImplemented": NotImplemented}


def _parts(kind: Callable, *names: str) -> tuple:
    """The row of TEXTS for a class that is made of some of its attributes, which are whole numbers of any size."""
    return (
        kind,
        lambda value: [f"{getattr(value, name):x}" for name in names],
        lambda parts: kind(*(int(part, 16) for part in parts)),
    )


def _timezone(parts: list) -> datetime.timezone:
    seconds, name = parts
    offset = datetime.timedelta(seconds=seconds)
    plain = datetime.timezone(offset)
    return plain if plain.tzname(None) == name else datetime.timezone(offset, name)


# A class, and functions from a value of it to the string or list of numbers that describes it completely, and back.
TEXTS: dict[str, tuple[type, Callable, Callable]] = {
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "complex": (complex, lambda z: [z.real, z.imag], lambda pair: complex(*pair)),
    "Decimal": (decimal.Decimal, str, lambda text: decimal.Decimal(str(text))),
    "Fraction": _parts(fractions.Fraction, "numerator", "denominator"),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
    "timedelta": (datetime.timedelta, lambda d: [d.days, d.seconds, d.microseconds], lambda p: datetime.timedelta(*p)),
    "range": _parts(range, "start", "stop", "step"),
    "UUID": (uuid.UUID, lambda u: u.hex, uuid.UUID),
    "timezone": (datetime.timezone, lambda z: [z.utcoffset(None).total_seconds(), z.tzname(None)], _timezone),
}
TEXT_TAGS = {kind: tag for tag, (kind, _, _) in TEXTS.items()}
# A class, and functions from a value of it to the values that it consists of, and back.
PARTS: dict[str, tuple[type, Callable, Callable]] = {
    "frozenset": (frozenset, lambda v: [Inline(v), Inline(set_layout(v))], lambda parts: frozenset_of(*parts)),
    "slice": (slice, lambda v: [v.start, v.stop, v.step], lambda parts: slice(*parts)),
    "mappingproxy": (
        types.MappingProxyType,
        lambda v: [Inline(v), Inline(v.values())],
        lambda columns: types.MappingProxyType(dict(zip(*columns, strict=True))),
    ),
    "keys": (type({}.keys()), list, lambda items: dict.fromkeys(items).keys()),
    "values": (type({}.values()), list, lambda items: dict(enumerate(items)).values()),
    "items": (type({}.items()), list, lambda items: dict(items).items()),
}
PART_TAGS = {kind: tag for tag, (kind, _, _) in PARTS.items()}
NUMPY_KINDS = "biufcmMSUV"  # the kinds of dtypes whose bytes say everything; other arrays are sent item by item

IMMUTABLE_BASES = {base.__name__: base for base in (int, float, str, bytes, complex, tuple, frozenset)}


def _json_writer():
    """A function from plain data to JSON text. Python's encoder makes a new C object for each value; this keeps one."""
    encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, ensure_ascii=False)  # messages are trees
    make = json.encoder.c_make_encoder
    if make is None:  # a Python without the C module
        return encoder.encode
    encode = make(None, encoder.default, json.encoder.c_encode_basestring, None, ":", ",", False, False, True)
    return lambda value: "".join(encode(value, 0))


_to_json = _json_writer()
_scan_json = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # typeshed leaves it out


class Inline(list):
    """A list of the protocol, such as the arguments of a call: not a value of the test or the code."""


def pairs(keywords: dict) -> Inline:
    """Keyword arguments in the form of the protocol."""
    return Inline(Inline(pair) for pair in keywords.items())


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
        return value if not long_ints and LEAVES.issuperset(map(type, value)) else [_encode(v, *inner) for v in value]
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
    if kind in PART_TAGS:
        return {PART_TAGS[kind]: [_encode(v, *inner) for v in PARTS[PART_TAGS[kind]][1](value)]}
    if kind is type and _builtin(value.__name__) is value:
        return {"type": value.__name__}
    for name, constant in CONSTANTS.items():
        if value is constant:
            return {"constant": name}
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "dtype"):
        return _encode_numpy(value, kind.__name__, inner)
    if heap is None:
        raise ValueLimit(f"{kind.__name__} object")
    return heap.encoded(value, kind, lambda plain: _encode(plain, *inner))


def _encode_numpy(value, name: str, inner: tuple):
    """{"numpy": [class, dtype, shape, bytes]}, or [class, None, shape, items] in it, and a mask if it has one."""
    heap, dtype = inner[-1], value.dtype
    is_masked, is_raw = name == "MaskedArray", dtype.kind in NUMPY_KINDS and not dtype.hasobject
    if is_raw and name == "ndarray" and not dtype.names and heap is not None and heap.tracks:
        return heap.reference(value, ARRAY)
    data, mask = (value.data, [value.mask.ravel().tolist()]) if is_masked else (value, [])
    if not hasattr(value, "setflags") or value.ndim == 0 and name != "ndarray":
        name = "scalar"
    if not is_raw:
        items = [_encode(v, *inner) for v in data.ravel().tolist()]
        return {"numpy": [name, None, list(value.shape), items, *mask]}
    raw = base64.b64encode(data.tobytes()).decode()
    return {"numpy": [name, dtype.descr if dtype.names else dtype.str, list(value.shape), raw, *mask]}


def all_plain(values: list) -> bool:
    """Whether all values, as JSON gives them, are None, numbers, texts or lists of those."""
    for value in values:
        kind = type(value)
        if kind not in LEAVES and not (kind is list and LEAVES.issuperset(map(type, value))):
            return False
    return True


def write_plain(descriptor: int, result) -> bool:
    """Writes the reply ["ok", result] if the result is as plain as `all_plain` says, which most are. Else False."""
    try:
        data = b'["ok",' + _to_json(result).encode(*TEXT) + b"]" if all_plain([result]) else b""
    except ValueError:  # an int of more decimal digits than Python converts
        return False
    if 0 < len(data) <= MAX_FRAME:
        write_frame(descriptor, data)
        return True
    return False


DECODING_ERRORS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, BufferError,
)  # fmt: skip


def plain(data: bytes):
    """The value of a frame that only holds JSON, without white space around it. Raises ValueError for any other."""
    text = data.decode(*TEXT)
    try:
        value, end = _scan_json(text, 0)
    except StopIteration:
        raise ValueError("not a JSON value") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


def loads(data: bytes, heap=None):
    """The value that `dumps` wrote, of exact types. Raises ValueLimit for any other bytes."""
    if not data:
        raise ValueLimit("too large to be sent")
    try:
        value = plain(data)
        if heap is not None and type(value) is dict and "heap" in value:
            new, changed, value = value["heap"]
            heap.receive(new, changed, decode)
        return decode(value, 0, heap)
    except DECODING_ERRORS as error:
        raise ValueLimit(f"not a value: {type(error).__name__}") from None


def decode(value, depth: int, heap):
    """The value that a JSON value stands for, `depth` levels inside a message. Raises one of DECODING_ERRORS."""
    if type(value) is list:
        if LEAVES.issuperset(map(type, value)):
            return value
        if depth > MAX_DEPTH + 1:
            raise ValueLimit(f"nested deeper than {MAX_DEPTH}")
        return [decode(v, depth + 1, heap) for v in value]
    if type(value) is not dict:
        return value
    if depth > MAX_DEPTH + 1 or len(value) != 1:
        raise ValueLimit("not exactly one tag, or nested too deep")
    [(tag, payload)] = value.items()
    if tag == "tuple":
        return tuple(decode(list(payload), depth, heap))
    if tag in TAGS:
        base, kind = TAGS[tag]
        if heap is not None and kind.put is put_fields:
            raise ValueLimit("attributes without a number")  # the heap looks at them
        columns = [decode(column, depth, heap) for column in payload]
        found = kind.make(base, columns)
        kind.put(found, columns)
        return found
    if tag in TEXTS:
        return TEXTS[tag][2](payload)
    if tag in PARTS and type(payload) is list:
        return PARTS[tag][2](decode(payload, depth, heap))
    if tag in DECODERS:
        return DECODERS[tag](payload, depth + 1, heap)
    if heap is None:
        raise ValueLimit(f"the tag {tag[:20]!r}")
    return heap.DECODERS[tag](heap, payload, lambda plain: decode(plain, depth + 1, heap))


def _builtin(name: str):
    """What Python calls so without an import, and NoneType."""
    return type(None) if name == "NoneType" else getattr(builtins, name, None)


def _decode_type(name: str, depth: int, heap) -> type:
    found = _builtin(name)
    if type(found) is not type or found.__name__ != name:
        raise ValueLimit(f"not a builtin type: {name!r}")
    return found


def _decode_numpy(payload: list, depth: int, heap):
    """A scalar, or an array of the class that it had; that of a subclass of the code's own is an ndarray."""
    import numpy

    name, sent, shape, contents, *masks = payload
    found: Any
    if sent is None:
        found = numpy.empty(len(contents), dtype=object)
        found[:] = decode(contents, depth, heap)
    else:
        dtype = numpy.dtype(sent if type(sent) is str else [(str(field), *kind) for field, *kind in sent])
        if dtype.kind not in NUMPY_KINDS or dtype.hasobject:
            raise ValueLimit("dtype")
        found = numpy.frombuffer(base64.b64decode(contents), dtype=dtype).copy()
    found = found.reshape(shape)
    if name == "scalar":
        return found[()]
    if name == "matrix":
        return found.view(numpy.matrix)
    if name != "MaskedArray":
        return found
    mask: Any = numpy.array(masks[0], dtype=bool)
    return numpy.ma.masked_array(found, mask.reshape(found.shape) if mask.size > 1 or found.size == 1 else mask.any())


DECODERS: dict[str, Callable[[Any, int, Any], Any]] = {
    "int": lambda text, depth, heap: int(text, 16),
    "type": _decode_type,
    "constant": lambda name, depth, heap: CONSTANTS[name],
    "numpy": _decode_numpy,
}
