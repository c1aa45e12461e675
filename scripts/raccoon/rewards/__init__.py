"""The tasks to train on, and the reward of a completion: by its verdict, or by a judge's score."""
