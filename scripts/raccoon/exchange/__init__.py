"""What judge and child send each other: frames, values of exact types, objects that both know by number."""
