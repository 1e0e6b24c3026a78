"""So that a failing check of the contract suite shows its values."""

import pytest

pytest.register_assert_rewrite("channels.testing.contract")
