"""What a task is: the record and its files, prompts, cases, templates, and the code in a completion.

Knows no other room.
"""
