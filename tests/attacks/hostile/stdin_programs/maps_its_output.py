# maps its output to write into it after its end
# task: add_lines
# expect: FAIL exception
import mmap
import os

os.ftruncate(1, 4096)
window = mmap.mmap(1, 4096)
window[:3] = b'3\n '
os.ftruncate(1, 2)
