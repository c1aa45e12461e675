"""From the training script's constants to a trainer: checks, tasks, GRPO's arguments, what is said at the start.

`settings` is always that script's constants, as attributes under their own names. Knows all rooms that train.
"""
