"""What a completion is worth: a table over verdicts, answers that ignore their arguments, a judge's score.

Knows tasks, sandbox, judging and runs.
"""
