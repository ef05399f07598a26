"""Untrusted bytes are read in worker processes with a time and a memory limit."""
