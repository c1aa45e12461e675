# ends with exit()
# kind: program
a, b = map(int, input().split())
print(a + b)
exit()

# test:
{"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"]}
