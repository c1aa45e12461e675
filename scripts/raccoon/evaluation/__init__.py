"""Scores models on benchmarks and compares them. Knows tasks, sandbox and judging."""
