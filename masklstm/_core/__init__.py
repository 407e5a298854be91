"""What losses, metrics and layers are built on. Nothing here is public."""
