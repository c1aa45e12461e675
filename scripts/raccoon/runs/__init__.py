"""What a training run writes, watches and resumes from: files and plain numbers, without torch. Imports no room."""
