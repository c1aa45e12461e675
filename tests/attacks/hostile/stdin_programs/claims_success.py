# writes the harness's own success into every descriptor
# task: add_lines
# expect: FAIL exception
import os

for number in range(3, 120):
    try:
        os.write(number, b'\x10\0\0\0["ok",null,null]')
    except OSError:
        pass
