# reads and prints in a thread with a large stack
# kind: program
import threading

threading.stack_size(64 << 20)


def main():
    a, b = map(int, input().split())
    print(a + b)


threading.Thread(target=main).start()

# test:
{"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"]}
