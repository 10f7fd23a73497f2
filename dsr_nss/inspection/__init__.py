"""Looking before a run: can a config run here, and what does its pipeline feed?"""
