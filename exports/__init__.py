"""What an export is: everything that does not depend on Temporal's workflows and activities."""
