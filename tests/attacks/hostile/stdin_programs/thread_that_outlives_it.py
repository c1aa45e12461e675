# leaves a daemon thread printing
# task: add_lines
# expect: PARTIAL wrong
import threading


def say():
    while True:
        print(3, flush=True)


threading.Thread(target=say, daemon=True).start()
