# prints the right answer and exits with another code
# task: add_lines
# expect: FAIL exception
import os

print(sum(map(int, input().split())), flush=True)
os._exit(7)
