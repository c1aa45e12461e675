# puts iterators, objects and functions into its fields
# task: reversed_chain
import itertools


class Solver:
    def reverse(self, head):
        head.val, head.next = itertools.count(), lambda: head
        return head
