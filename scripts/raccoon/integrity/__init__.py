"""The second look at completions that passed: did they solve the task? Imports tasks, published and sandbox."""
