# exits with code 0 before it prints
# task: add_lines
# expect: PARTIAL wrong
import os

os._exit(0)
