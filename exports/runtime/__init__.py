"""The process of a program: its log, its memory, its end, and whether it is alive."""
