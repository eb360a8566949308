"""``rpm-stream evaluate``: files in, a pool of processes, tables, JSON and pictures out."""
