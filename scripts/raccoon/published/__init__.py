"""The published sets of tasks: one table, one converter for each family of formats, and contamination checks.

Imports tasks.
"""
