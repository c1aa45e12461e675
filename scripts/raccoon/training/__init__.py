"""The training itself: policy, rewards, TRL's trainer, sharding, the saved model.

Knows tasks, sandbox, judging and runs.
"""
