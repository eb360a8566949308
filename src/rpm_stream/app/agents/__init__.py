"""The two stateful Faust agents.

Each batch: outputs durable, then state durable, then ack (CONTRACT 2, DESIGN 5).
"""
