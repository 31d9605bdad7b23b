"""Batch scoring: rows a second, CPU, memory, small jobs, ledger, planning, engines. See `__main__`."""
