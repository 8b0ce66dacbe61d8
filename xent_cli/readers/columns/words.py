"""Words in column names that tell what columns hold: labels, ids, scores and so on."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


def words(text: str) -> frozenset[str]:
    """Split a list of words."""
    return frozenset(text.split())


class RoleWords(NamedTuple):
    """The names of one role.

    Fields
    ------
    role
        What the column is, in words for the user.
    exact
        Complete names, as `plain_name` writes them; # stands for a number.
    begin, end
        What other names of the role begin or end with.
    whole
        Whether this role has only whole numbers; a float column of this name is something else.
    text
        Whether columns of this role are text; a column of numbers with this name may be anything.
    """

    role: str
    exact: frozenset[str]
    whole: bool
    begin: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    text: bool = False


INDEX, LABEL, PREDICTION, ABOUT_SAMPLE, ID = "index", "label", "about the prediction", "about the sample", "id"

# Searched from the top: exact names come before patterns, and earlier roles before later ones.
ROLES = (
    RoleWords(
        INDEX,
        words(
            "index idx row row_id row_index row_number row_no row_num row_nr rownum inst instance "
            "unnamed_# index_level_#"
        ),
        whole=True,
    ),
    RoleWords(
        LABEL,
        words(
            "label labels target targets y y_true y_test true true_label true_labels true_class true_idx ground_truth "
            "gt gold gold_label truth actual expected reference obs observed assigned_label label_id label_ids "
            "labels_id labels_ids label_idx class_id class_idx class_label target_class class"
        ),
        whole=True,
    ),
    RoleWords(
        PREDICTION,
        words(
            "pred predict prediction predicted predicted_label predicted_class y_pred y_hat argmax correct confidence "
            "conf score loss nll entropy margin prediction_label scored_labels scored_label "
            "pred_label pred_class pred_idx pred_id pred_prob pred_conf pred_score"
        ),
        whole=False,
        end=("_pred",),
    ),
    RoleWords(
        PREDICTION,
        frozenset(),
        whole=False,
        begin=("pred_", "predict_", "predicted_", "prediction_", "scored_", "guess_", "output_", "$"),
        end=("_pred", "_prediction"),
        text=True,
    ),
    RoleWords(
        ABOUT_SAMPLE,
        words("split seed epoch step batch usage fold mask group subject speaker"),
        whole=True,
    ),
    RoleWords(
        ABOUT_SAMPLE,
        words("weight sample_weight weights sample_weights lr"),
        whole=False,
        begin=("time",),
    ),
    RoleWords(
        ID,
        words("id ids row_ids key uuid name sample sample_id path file filename"),
        whole=True,
        end=("_id", "_ids", "_idx", "_index", "_path"),
    ),
)

# Float columns with these names may just as well be classes (win, draw, loss; O, PER, TIME).
MAY_BE_CLASSES = words(
    "loss score time mask group weight key name sample target true class reference expected actual truth gold margin "
    "step split fold row index path file batch subject speaker label observed y correct id usage"
)
# Quantities that are never negative: a column with such a name that holds a negative number is something else.
NEVER_NEGATIVE = words("loss nll entropy conf confidence time weight sample_weight mask")
# Usually the probability of the predicted class, whichever that is.
OF_THE_PREDICTED = words("conf confidence confidences max_prob max_probability top_prob top_probability")

# The common part of the names of class columns has one of these.
_KINDS = (
    ("logits", words("logit logits raw_formula_val")),
    (
        "log-probs",
        words(
            "log_prob log_probs log_proba log_probability log_probabilities log_softmax "
            "logprob logprobs logproba logprobability logprobabilities logsoftmax"
        ),
    ),
    ("probs", words("p softmax posterior posteriors conf confidence confidences")),
    ("", words("pred preds prediction predictions score scores output outputs class c")),
)
# Words beside these that say no more: log_probs, raw_formula_val, decision_function.
_PARTS = words("log raw formula val margin decision function sigmoid")
# The ends of `first_class` and `vitamin_c` do not mean a score.
_ONLY_BEFORE = words("class c")
# Patterns that few tables need are compiled on first use.
SCORE_WORD = (
    r"(?i:logit|formula|prob|softmax|posterior|pred|score|output|class|conf|\$[a-z]{1,2}p)|(?<![A-Za-z])[CPcp](?![a-z])"
)

# Column names of logits may have one of these before the name of the class.
LOGIT_PREFIXES = ("logit_", "logits_", "logit.", "logits.")

# Numbered columns with these names are a model's inputs, or the scores of several models, unless the user names them.
NEVER_CLASSES = (
    r"(.+_)?(x|f|v|features?|emb[a-z]*|pc|pca|umap|tsne|dim|pixel|column|hidden[a-z_]*"
    r"|folds?|seeds?|runs?|models?|members?|trials?|rep|reps|repeats?|raters?|annotators?|estimators?|trees?)"
)
# Columns with one of these words measure something; they are not classes unless labels of text name them.
MEASURES = words(
    "mean avg average std stdev sd var variance min minimum max maximum median sum total count range rank "
    "auc acc accuracy precision recall f1 mse rmse mae error loss losses nll entropy "
    "lat latitude lon lng longitude height width length depth area volume age price cost amount "
    "distance speed duration seconds ms temperature scale threshold"
)

# Names of list columns, in the order in which they are looked for; for the kind "" the values decide.
LISTS = (
    ("logits", ("logits", "logit")),
    ("log-probs", ("log_probs", "logprobs", "log_prob", "logprob")),
    ("probs", ("probs", "probabilities", "probability", "prob")),
    ("", ("scores", "outputs", "predictions", "y_pred", "preds")),
)
_NEVER_LISTS = words("input_ids tokens attention_mask embedding embeddings feature features bbox vector")

# A list or a numbered family with one of these names, next to scores, gives the class of each score.
CLASS_LISTS = words("label class index idx indices id ids token tokens top name")

# Whole numbers in columns of these names are classes that models chose, not scores.
PREDICTED = words("pred preds prediction predictions class")

NULL_WORDS = words("null none na n/a nan nil missing -")

# Negative and positive names for the columns of a binary classifier.
YES_NO = (("no", "yes"), ("false", "true"), ("neg", "pos"), ("negative", "positive"), ("n", "y"), ("f", "t"))
# What turns the name of one class into that of the other: `not_spam`, `one_minus_p`.
_NEGATIONS = ("not_", "non_", "no_", "one_minus_", "1_minus_", "inv_", "inverse_", "complement_")

# What may stand before the name of the class that a label of 0 and 1 is about.
_ASKS = ("is_", "has_", "was_", "true_", "y_true_", "y_", "label_", "target_")

_CHANGES = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MARKS = re.compile(r"[-.\s_:=()\[\]{}<>/\"'#,;|]+")


def composed(text: str) -> str:
    r"""Write each letter and its accents as one character where Unicode has one (NFC): a file may have either form.

    Examples
    --------
    >>> len("cafe\u0301"), len(composed("cafe\u0301"))
    (5, 4)
    """
    from unicodedata import normalize  # few tables need it

    return normalize("NFC", text)


def plain_name(name: str) -> str:
    """Write a name the way it is written in the tables above.

    Examples
    --------
    >>> plain_name("assignedLabel"), plain_name(" Row-Index"), plain_name("Probability:Class=a")
    ('assigned_label', 'row_index', 'probability_class_a')
    """
    if not name.isascii():
        name = composed(name)
    if name.isalpha() and (name.islower() or name.isupper()):
        return name.lower()
    return _MARKS.sub("_", _CHANGES.sub("_", name)).strip("_").lower()


def never_scores(plain: str) -> bool:
    """Whether lists with this plain name are a model's inputs or internal values.

    Examples
    --------
    >>> never_scores("hidden_states"), never_scores("scores")
    (True, False)
    """
    return plain in _NEVER_LISTS or plain.startswith("hidden")


def says_yes_before_no(names: Sequence[str]) -> bool:
    """Whether two names are an affirmative and its negation, in this order.

    Examples
    --------
    >>> says_yes_before_no(["Yes", "No"]), says_yes_before_no(["spam", "not spam"]), says_yes_before_no(["no", "yes"])
    (True, True, False)
    """
    if len(names) != 2:
        return False
    first, second = map(plain_name, names)
    return (second, first) in YES_NO or second in {f"{before}{first}" for before in _NEGATIONS}


def affirmed_by(label: str, names: Sequence[str]) -> int | None:
    """Which of two classes a label is 1 for, if its name says so, as `is_spam` does.

    Examples
    --------
    >>> affirmed_by("is_spam", ["spam", "ham"]), affirmed_by("default", ["no_default", "default"])
    (0, 1)
    """
    asked = plain_name(label)
    asked = next((asked[len(word) :] for word in _ASKS if asked.startswith(word)), asked)
    found = [place for place, name in enumerate(names) if plain_name(name) == asked]
    return found[0] if len(names) == 2 and len(found) == 1 else None


@cache
def kind_of_stem(before: str, after: str = "") -> str | None:
    """Return what columns hold according to their stem; None if none of its words means a score.

    Examples
    --------
    >>> kind_of_stem("class_prob_"), kind_of_stem("", "_score"), kind_of_stem("log_prob_"), kind_of_stem("cat_")
    ('probs', '', 'log-probs', None)
    """
    parts = [part for part in plain_name(before).split("_") if part]
    tail = [part for part in plain_name(after).split("_") if part and part not in _ONLY_BEFORE]
    for kind, said in _KINDS:
        for some in (parts, tail):
            joined = [*some, *("_".join(some[i : i + n]) for n in (2, 3) for i in range(len(some) - n + 1))]
            if any(word in said or (kind == "probs" and _says_probability(word)) for word in joined):
                return kind
    return None


def says_kind(word: str) -> bool:
    """Whether a word of a name says only what kind of scores it is about.

    Examples
    --------
    >>> [word for word in ("raw", "logit", "proba", "student") if says_kind(word)]
    ['raw', 'logit', 'proba']
    """
    return word in _PARTS or kind_of_stem(word) is not None


def says_kind_alone(name: str) -> bool:
    """Whether a name says what kind of score it is and nothing else: it names no class.

    Examples
    --------
    >>> says_kind_alone("RawFormulaVal"), says_kind_alone("score_cat")
    (True, False)
    """
    return kind_of_stem(name) is not None and all(map(says_kind, plain_name(name).split("_")))


def _says_probability(word: str) -> bool:
    """Whether it is `prob`, `probability` or the like, or `$RP` or `$NP`: propensities, as SPSS Modeler names them."""
    if word.startswith("$"):
        return word.endswith("p") and 3 <= len(word) <= 4 and word[1:].isalpha()
    return word.startswith("prob") and word.isalpha() and not word.startswith(("problem", "probe"))
