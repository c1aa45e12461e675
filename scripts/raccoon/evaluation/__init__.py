"""Scores models on benchmarks and compares them. Imports tasks, published, sandbox and llm."""
