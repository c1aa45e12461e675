# closes every descriptor and goes on
# task: add_lines
# expect: FAIL
import os

print(3, flush=True)
os.closerange(0, 300)
while True:
    pass
