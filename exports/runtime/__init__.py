"""What every program of this service does as a process."""
