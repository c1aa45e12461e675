"""Runs untrusted programs against tests and gives verdicts. Standard library alone; knows no other room."""
