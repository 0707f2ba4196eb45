"""The exceptions that end a script with one clear line instead of a traceback."""


class UserError(Exception):
    """Something that whoever runs the script can put right. The message is one line and says what to do."""


class SettingError(UserError):
    """A setting is out of range. The message names the flag; scripts exit with 2, as argparse does."""


class ModelFileError(UserError):
    """A model file that is missing, damaged or not ours."""


class ScoresFailed(UserError):
    """A model's scores are not finite: its weights are not such as training leaves."""


class NoPredictedScores(UserError):
    """The model was trained without scores, or by an earlier version."""

    def __init__(self) -> None:
        super().__init__("this model predicts no scores: it was trained by an earlier version, or on too few of them")
