"""What a completion is worth: a table over verdicts, a judge's score, and the rollouts that log both.

Knows tasks, sandbox, judging and runs.
"""
