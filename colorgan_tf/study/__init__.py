"""The Turing test: building a study, serving it to people, analysing and simulating what they answer."""
