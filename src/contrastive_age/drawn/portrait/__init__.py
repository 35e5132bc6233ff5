"""The parts of a synthetic portrait: anatomy, canvas, skin, features, hair and surroundings."""
