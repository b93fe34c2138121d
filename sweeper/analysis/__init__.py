"""What a run hides: adversarial pictures, wrong labels, what its features look like.

Each analysis is computed from tracked runs and the pictures that they were trained on, and kept with them as artifacts.
"""
