"""Makes new tests for a task from its gold solution. Imports tasks and sandbox."""
