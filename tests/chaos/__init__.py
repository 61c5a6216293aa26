"""Faults: what is killed, cut off, lied to or left alone, and what is left of it afterwards."""
