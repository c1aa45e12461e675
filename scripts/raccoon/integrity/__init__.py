"""The second look at completions that passed: were they earned? Knows tasks and sandbox."""
