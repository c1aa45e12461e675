"""Makes new tasks and keeps the verified ones. Knows tasks, sandbox and judging."""
