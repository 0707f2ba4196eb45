"""A BERT4Rec recommender for anime lists. For other programs:

    from anime_bert4rec import Recommender

    recommender = Recommender.load("output")
    recommender.recommend([1, 5, 20], top_k=10)  # AniList ids, the newest last

What is where, each folder using only those before it:

    support       errors, text for terminals, whole files, progress bars
    lists         people's lists: from wherever they come, through SQLite, to numbers in order of time
    anilist       AniList's side of the network, and a made-up AniList for trying things out
    model         what learns: batches, BERT4Rec, the item memory that it starts from, the files that hold them
    recommending  from a model's scores to titles for a person
    training      what surrounds the training loop
    evaluation    how well a model ranks for people whose lists it was not trained on, beside baselines
    plots         the pictures
    pages         the pages in HTML
    recommender   the trained model as a larger program uses it
    command_line  what the scripts share; the rest of the package knows nothing of it
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anime_bert4rec.recommender import NothingToGoOn, Recommendation, Recommender, Similar
    from anime_bert4rec.recommending.catalogue import Catalogue
    from anime_bert4rec.support.errors import ModelFileError, NoPredictedScores, ScoresFailed, UserError

__version__ = "1.0"
"""The version of the project: pyproject.toml takes it from here."""

__all__ = [
    "Catalogue",
    "ModelFileError",
    "NoPredictedScores",
    "NothingToGoOn",
    "Recommendation",
    "Recommender",
    "ScoresFailed",
    "Similar",
    "UserError",
    "__version__",
]


if not TYPE_CHECKING:  # which would take any name for a public one

    def __getattr__(name: str) -> Any:
        """The public names are imported when they are first asked for, so that importing the package costs nothing."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from anime_bert4rec import recommender
        from anime_bert4rec.recommending import catalogue
        from anime_bert4rec.support import errors

        return getattr(next(module for module in (recommender, catalogue, errors) if hasattr(module, name)), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
