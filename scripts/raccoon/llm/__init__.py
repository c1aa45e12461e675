"""Requests to a model on a server: a score for a completion, or the code in it. Imports tasks."""
