# writes to the standard error without end and without a line break
# modes: one
# expect: FAIL
# timeout: 1
import os

while True:
    os.write(2, b"x" * 65536)
