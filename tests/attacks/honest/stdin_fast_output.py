# prints through a file of its own that it never closes
# kind: program
import os

write = open(1, 'w').write
a, b = map(int, open(0).readline().split())
write(str(a + b))

# test:
{"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"]}
