"""The reward of a completion: a table over verdicts, answers that ignore their arguments, a judge's score.

It may import tasks, sandbox, llm and runs.
"""
