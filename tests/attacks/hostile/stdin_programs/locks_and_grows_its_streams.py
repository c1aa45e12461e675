# locks its streams and makes them as large as it can
# task: add_lines
# expect: FAIL exception
import fcntl
import os

for stream in (0, 1):
    fcntl.flock(stream, fcntl.LOCK_EX)
    os.ftruncate(stream, 60 << 20)
