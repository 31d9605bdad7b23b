"""Real-time scoring: throughput, latency, CPU, cold start, memory, many connections. See `__main__`."""
