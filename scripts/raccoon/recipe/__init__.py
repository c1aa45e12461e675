"""Turns the training script's constants into a trainer: checks, tasks, GRPO's arguments, the printed description.

`settings` is always that script's constants, as attributes under their own names. It may import all rooms that train.
"""
