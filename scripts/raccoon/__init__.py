"""What the scripts share. A folder is a room with one purpose; its first line says what lives there."""
