"""Log-probabilities as SGLang's own `/generate` answers them, in ``meta_info``.

``output_token_logprobs`` and ``input_token_logprobs``, of the prompt, are lists of ``[logprob, token id, text]``. The
first of the latter is null, as nothing comes before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xent_cli.readers.language_models.json_values import RecordError, list_of, shown
from xent_cli.readers.language_models.scored_token import token_of

if TYPE_CHECKING:
    from xent_cli.readers.language_models.scored_token import Token

META = "meta_info"
_OUTPUT, _INPUT = "output_token_logprobs", "input_token_logprobs"


def tokens_of_meta(meta: dict[str, Any]) -> list[Token] | None:
    """Return the tokens of a response; None if it has no log-probabilities.

    Raises
    ------
    RecordError
        If both prompt and output have them, or an entry is not a token.

    Examples
    --------
    >>> tokens_of_meta({"output_token_logprobs": [[-0.5, 17, None]], "input_token_logprobs": [[None, 1, None]]})
    [Token(log_p=-0.5, cap=0.0, size=-1)]
    """
    output, prompt = ([_logprob(one) for one in list_of(meta.get(key) or [], f'"{key}"')] for key in (_OUTPUT, _INPUT))
    prompt = prompt[1:] if prompt[:1] == [None] else prompt
    if output and prompt:
        hint = "take one out: jq -c 'del(.meta_info.output_token_logprobs)', or input_token_logprobs"
        raise RecordError(f'both "{_INPUT}" and "{_OUTPUT}"', "one of them", hint)
    return [token_of(value, ((), ()), -1) for value in (output or prompt)] or None


def _logprob(entry: Any) -> Any:
    if not isinstance(entry, list) or len(entry) < 2:
        raise RecordError(f"an entry {shown(entry)}", "[logprob, token id, text]")
    return entry[0]
