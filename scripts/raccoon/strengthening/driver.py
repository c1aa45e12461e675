"""Runs in the sandbox's child: calls a program's function on many inputs and prints what each call gives.

trials.py puts this file's text before the line that calls run_gold() or run_wrong(). It imports nothing of the project.
For the right program there is a line for each input: its number, a letter, two digests of the result, of which the
second tells all digits and the order, and, if asked for, the result as a literal.

    =  a plain value      ?  another value, or one that is too long      !  an exception      t  it takes too long
    >  prints or reads    .  the end: what follows has no room any more

Digests are equal if == is true of the results, except that floats count as equal if 6 digits are, and that letters of a
set or dict come in any order. With `any_order`, so do the items of every list and tuple.
`how` has the function's text, the names of its last arguments, and whether only the result's truth counts.
"""

import contextlib
import copy
import hashlib
import io
import math
import signal
import sys

SIMPLE = (bool, int, float, str, type(None))
SECONDS, SHORT = 0.005, 0.04  # CPU time of one call, of the right program and of others
ROOM = 1_900  # characters that the sandbox keeps of the output
DIGEST = 10  # characters
LATE = 8  # calls of the right program that may take too long; then the others are not made
LONGEST = 400  # characters of a result as a literal


class Late(BaseException):
    """A call takes too long."""


def ring(*_):
    raise Late


def is_plain(value, depth=0):
    """Whether repr(value) is a literal of the same value."""
    kind = type(value)
    if kind in (list, tuple, set):
        return depth < 20 and all(is_plain(item, depth + 1) for item in value)
    if kind is dict:
        return depth < 20 and all(is_plain(item, depth + 1) for pair in value.items() for item in pair)
    return kind in SIMPLE and (kind is not float or math.isfinite(value))


def canonical(value, any_order, digits=6, depth=0):
    """A text that two results share if an assert takes them for equal; floats if so many digits are."""
    kind = type(value)
    if isinstance(value, (bool, int)):
        return f"{int(value):x}"
    if isinstance(value, float):
        value = round(value, digits) if abs(value) < 1 else value
        return f"{int(value):x}" if value.is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"
    if depth > 20 or kind not in (list, tuple, set, frozenset, dict):
        return f"{kind.__name__} {value!r}" if kind in (str, bytes, complex, type(None)) else f"object {kind.__name__}"
    pairs = value.items() if kind is dict else value
    items = [canonical(item, any_order, digits, depth + 1) for item in pairs]
    if any_order or kind not in (list, tuple):
        items.sort()
    name = "set" if kind in (set, frozenset) else kind.__name__
    return f"{name}[{', '.join(items)}]"


def attempt(function, arguments, how, seconds):
    """(letter, digest, literal) of one call."""
    first, printed = len(arguments) - len(how["names"]), io.StringIO()
    given = copy.deepcopy(arguments)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            value = function(*given[:first], **dict(zip(how["names"], given[first:], strict=True)))
            text = ascii(value) if is_plain(value) else ""
            same = canonical(bool(value) if how["truth"] else value, how["any_order"])
            exact = canonical(value, False, 17) if how["exact"] else None
    except Late:
        return "t", "", ""
    except BaseException as error:
        return "!", type(error).__name__[:12], ""
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    digest = short(same) if exact is None else short(same) + short(exact)
    letter = ">" if printed.getvalue() else "=" if text and len(text) <= LONGEST else "?"
    return letter, digest, text if letter == "=" else ""


def short(text):
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=DIGEST // 2).hexdigest()


def loaded(program):
    """The namespace of a program."""
    space = {"__name__": "solution"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(program, "<solution>", "exec"), space)
    return space


def prepare():
    """Standard output, which the programs do not get."""
    signal.signal(signal.SIGVTALRM, ring)
    sys.stdin = io.StringIO()
    return sys.stdout


def say(out, number, line, said):
    """Prints a line, or a dot if there is no room for it. The number of characters with it."""
    said += len(line) + 1
    print(line if said <= ROOM else f"{number} .", file=out, flush=True)
    return said


def run_gold(programs, inputs, how, start, literals):
    """Prints the results of the only program on the inputs from number `start` on."""
    out, said, late, space = prepare(), 0, 0, loaded(programs[0])
    for number in range(start, len(inputs)):
        letter, digest, text = "t", "", ""
        if late < LATE:
            letter, digest, text = attempt(eval(how["function"], space), inputs[number], how, SECONDS)
        late += letter == "t"
        line = f"{number} {letter}{digest} {text}" if literals else f"{number} {letter}{digest}"
        said = say(out, number, line, said)
        if said > ROOM:
            return


def run_wrong(programs, inputs, how, start, wanted):
    """Prints for each program, from number `start` on, a hexadecimal number: bit i is set if input i shows it wrong."""
    out, said = prepare(), 0
    for number in range(start, len(programs)):
        wrong = (1 << len(inputs)) - 1
        try:
            space = loaded(programs[number])
            for place, arguments in enumerate(inputs):
                letter, digest, _ = attempt(eval(how["function"], space), arguments, how, SHORT)
                if letter == "t":
                    break
                if letter in "=?>" and digest == wanted[place]:
                    wrong &= ~(1 << place)
        except BaseException:
            pass
        said = say(out, number, f"{number} #{wrong:x}", said)
        if said > ROOM:
            return
