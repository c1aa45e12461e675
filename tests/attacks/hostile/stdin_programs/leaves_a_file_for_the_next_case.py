# keeps what it saw for the child of the next case
# task: add_lines
# expect: PARTIAL wrong
import os

seen = sum(len(names) for _, _, names in os.walk('.'))
open('seen', 'w').write(input())
print(34 if seen else 3)
