"""`ExportTasks`: the documents that hold the state of each export."""
