"""What is asked of a model on a server: a score for a completion, or where the code in it stands.

Knows tasks and sandbox.
"""
