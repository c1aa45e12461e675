"""The training itself: policy, TRL's trainer, sharding, vLLM, the saved model.

It may import tasks and runs.
"""
