"""From a trained model and scenes to maps: tiles, prediction, and the MAPS folder."""
