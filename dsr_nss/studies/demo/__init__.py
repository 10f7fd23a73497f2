"""The demo: data, two trainings, their tests and a report."""
