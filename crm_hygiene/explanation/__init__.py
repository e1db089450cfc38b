"""Explanation: why two records are one entity or not, in words, as charts, for one pair or a whole entity."""
