"""What networks have seen, as their cards say it."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from contrastive_age.parameters import origins
from contrastive_age.parameters.effective import effective
from reporting.runs import configuration


@pytest.mark.parametrize(
    ("epochs", "head_epochs", "trained", "said"),
    [(0, 0, False, None), (3, 0, True, 3), (0, 5, True, 5), (3, 5, True, 8)],
)
def test_photos_that_trained_a_head_alone_are_seen(
    epochs: int,
    head_epochs: int,
    trained: bool,
    said: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before: Any = SimpleNamespace(cards=(), photos=None)
    start = SimpleNamespace(seen=before)
    monkeypatch.setattr(origins, "start_of", lambda _: start)
    monkeypatch.setattr(origins, "grown", lambda _, card, photos: (card, photos))
    given = configuration()
    given["training"] |= {"epochs": epochs, "head_epochs": head_epochs}
    given["model"]["weights"] = "faces.pth"
    samples = pd.DataFrame(
        {
            "identity": ["a", "b"],
            "age": [3, 4],
            "digest": ["11" * 32, "22" * 32],
            "look": "",
            "mirrored": "",
        }
    )
    seen: Any = origins.seen_by(effective(given, "fgnet_se"), {"fgnet": "terms"}, samples)
    if not trained:
        assert seen is before
        return
    card, photos = seen
    assert (card["sources"], card["n"], len(photos)) == (["fgnet"], 2, 2)
    assert (card["epochs"], card["head_epochs"]) == (said, head_epochs)
