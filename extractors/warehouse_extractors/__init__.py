"""Taps that run SQL files against a warehouse."""
