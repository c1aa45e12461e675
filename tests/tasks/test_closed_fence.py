"""Where a completion's code fence is closed."""

import pytest

from raccoon.tasks.markup import ends_in_closed_fence


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx\n```\n",
        "Here:\n\n```\nx\n```  \n\n",
        "~~~\nx\n~~~\n",
        "````md\n```\nx\n```\n````\n",
        "```\na\n```\ntext\n```\nb\n```\n",
    ],
)
def test_closed(text):
    assert ends_in_closed_fence(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "x\n",
        "```python\nx\n```",
        "```python\n",
        "text\n```\n",
        "```python\nx\n",
        "```python\nx\n```\nprose\n",
        "```\na\n```python\n",
        "````md\n```\nx\n```\n",
        "```\na\n```\ntext\n```\n",
    ],
)
def test_not_closed(text):
    assert not ends_in_closed_fence(text)
