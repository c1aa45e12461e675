"""What the text of a test says: what it needs of the code, what it leaves behind, and its compiled form."""
