# takes objects of its own class that the test has made and linked
# entry_point: height
class Node:
    def __init__(self, value):
        self.value, self.left, self.right = value, None, None


def height(node):
    return 0 if node is None else 1 + max(height(node.left), height(node.right))


# test:
root = Node(1)
root.left = Node(2)
root.left.right = Node(3)
assert height(root) == 3
assert height(root.left) == 2
