"""What people run here, and what it runs."""
