"""The published sets of tasks: one table, a converter for each form, and contamination checks. Imports tasks."""
