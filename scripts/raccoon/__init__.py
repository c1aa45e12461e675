"""What the scripts share. Each folder is a room with one purpose; its docstring says what lives there."""
