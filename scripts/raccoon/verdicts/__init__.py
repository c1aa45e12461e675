"""The way from a program and its test to a verdict: how a test runs against a child, and what decides."""
