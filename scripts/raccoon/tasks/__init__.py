"""What a task is: the record and its files, prompts, templates, and the code in a completion. Imports no other room."""
