"""Delivery: from the plan to the target, each change exactly once, whatever breaks on the way."""
