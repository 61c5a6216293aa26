"""An Arrow table as this service means it: columns, exact values, warnings."""
