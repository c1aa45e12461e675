"""The published sets of tasks: one table, one converter for each family of formats, and who was trained on them.

Knows tasks.
"""
