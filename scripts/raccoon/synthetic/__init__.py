"""Makes new tasks and keeps the verified ones. Imports tasks, published, sandbox, strengthening and llm."""
