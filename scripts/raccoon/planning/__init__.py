"""Memory, time and disk of a run before it starts, by arithmetic. Knows no other room."""
