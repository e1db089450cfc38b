"""The whole circle on a real Tryton: a server of our own, dirty parties, night, write-back, undo."""
