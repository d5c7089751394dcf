"""Settings of a training of moments."""

from swath.training.presets import Phase, StageSettings, TrainSettings

STAGE = StageSettings(
    phases=(Phase(learning_rate=3e-3, epochs=1),), batches=2, batch_size=2, patch_px=32, ema=None
)
TINY = TrainSettings(width=2, hidden=3, fcn=STAGE, rnn=STAGE)
