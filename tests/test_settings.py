"""What Kedro is told of this project holds with every version of what Kedro builds on."""

import pytest

from contrastive_age import settings

HOOK_CLASSES = [type(hook) for hook in settings.HOOKS]


@pytest.mark.parametrize("hook_class", HOOK_CLASSES, ids=lambda own: own.__name__)
def test_a_hook_can_be_looked_at_before_anything_is_configured(hook_class: type) -> None:
    hook = hook_class()
    # As pluggy below 1.7 does when it registers a plugin; one error ends every command.
    for name in dir(hook):
        getattr(hook, name)
