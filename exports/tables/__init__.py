"""What this service adds to Arrow tables: descriptions of columns, exact values, warnings."""
