"""Reports: the definitions of what can be exported."""
