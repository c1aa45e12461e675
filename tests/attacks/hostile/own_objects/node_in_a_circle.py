# returns a chain that never ends
# task: reversed_chain
class Solver:
    def reverse(self, head):
        head.next = head
        return head
