"""What a task is: the record and its files, the published benchmarks, prompts, and the code in a completion.

Knows no other room.
"""
