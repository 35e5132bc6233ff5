"""From photos to aligned faces: detection, alignment and the array on disk."""
