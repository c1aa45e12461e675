"""Computes memory, time and disk of a run before it starts. Imports no other room."""
