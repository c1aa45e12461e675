# sends what looks like a compiled program of its own
# task: add_lines
# expect: PARTIAL wrong
import os

for number in range(3, 120):
    try:
        os.write(number, b"\x05\0\0\0c\xa9\0")
    except OSError:
        pass
