# sleeps a little in each of endlessly many steps of a returned generator
# modes: one
# task: sort_numbers
# timeout: 1
import time


def sort_numbers(xs):
    while True:
        time.sleep(0.05)
        yield 1
