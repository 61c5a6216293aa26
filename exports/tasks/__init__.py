"""`ExportTasks`: the documents that say how each export stands."""
