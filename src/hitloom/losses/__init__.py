"""Losses: functions that return named parts and weights."""
