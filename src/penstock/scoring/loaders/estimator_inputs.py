"""The inputs that a fitted scikit-learn-like object expects, from what fitting left behind.

``feature_names_in_`` makes a table, ``n_features_in_`` an array. Which columns hold numbers, categories or
text comes from the transformers that take them. Categories are told for people: whether an unknown one is an
error stays the encoder's own decision (``handle_unknown``). Nothing is imported, see `estimators`.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Sequence

from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import catboost_inputs, estimators, lightgbm, xgboost_boosters

_TEXT = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}
_RECORDS = {"DictVectorizer", "FeatureHasher"}
_ENCODERS = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}
# Transformers that keep the columns they get, so that the next step tells of the same columns.
_KEEP_COLUMNS = {"SimpleImputer"}

# Fitted arrays that have a place for each input, and along which dimension.
_WIDE_AS_INPUTS = (
    ("coef_", -1),
    ("components_", -1),
    ("cluster_centers_", -1),
    ("means_", -1),
    ("theta_", -1),
    ("scale_", -1),
    ("center_", -1),
    ("statistics_", -1),
    ("_fit_X", 1),
)

_NUMBER = Field("", "float64")
_ANYTHING = Field("", "object")
_STRING = Field("", "str")


def takes_records(loaded: Any) -> bool:
    """Whether the first step wants a list of dicts (DictVectorizer)."""
    return estimators.kind(estimators.first(loaded)) in _RECORDS


def takes_text(loaded: Any) -> bool:
    """Whether the first step wants one string a row (TfidfVectorizer)."""
    return estimators.kind(estimators.first(loaded)) in _TEXT


def signature(loaded: Any) -> Signature:
    """The inputs as far as `loaded` knows them; `outputs` and `sample` are left empty."""
    if takes_text(loaded):
        return Signature(
            "array", (Field("text", "str", (-1,)),), (), estimators.kind(estimators.first(loaded))
        )
    if takes_records(loaded):
        return Signature()
    if estimators.library(estimators.first(loaded)) == "catboost":
        return catboost_inputs.signature(estimators.first(loaded))
    names = _names(loaded)
    if names is not None:
        fields = _columns(loaded, len(names), names)
        named = tuple(replace(field, name=name) for name, field in zip(names, fields))
        return Signature("table", named, (), "feature_names_in_")
    count = _count(loaded)
    if count is None:
        return Signature()
    dtypes = {field.dtype for field in _columns(loaded, count, None)}
    dtype = dtypes.pop() if len(dtypes) == 1 else "object"
    return Signature("array", (Field("input", dtype, (-1, count)),), (), "n_features_in_")


def _names(loaded: Any) -> list[str] | None:
    inner = estimators.first(loaded)
    for holder in (loaded, inner):
        # Before scikit-learn 1.0 only a ColumnTransformer kept them, under names that changed.
        for attribute in ("feature_names_in_", "_df_columns", "_feature_names_in"):
            names = _attribute(holder, attribute)
            if names is not None:
                return [str(name) for name in names]
    return _booster_names(inner)


def _booster_names(estimator: Any) -> list[str] | None:
    """The names that the booster inside keeps, where an older library's wrapper shows none: columns taken by
    position where the model has names could score the wrong ones."""
    if estimators.library(estimator) == "xgboost" and hasattr(estimator, "get_booster"):
        return xgboost_boosters.names_of(estimator.get_booster()) or None
    booster = _attribute(estimator, "booster_")
    if estimators.library(estimator) == "lightgbm" and booster is not None:
        names = list(booster.feature_name())
        return names if names != lightgbm.made_up_names(len(names)) else None
    return None


def _count(loaded: Any) -> int | None:
    inner = estimators.first(loaded)
    for holder in (loaded, inner):
        for attribute in ("n_features_in_", "n_features_", "_n_features"):
            count = _attribute(holder, attribute)
            if isinstance(count, int) or hasattr(count, "__index__"):
                return int(count)
    categories = _attribute(inner, "categories_")
    if isinstance(categories, list) and estimators.kind(inner) in _ENCODERS:
        return len(categories)
    # Before scikit-learn 0.23 the count stood in no attribute of its own.
    for attribute, axis in _WIDE_AS_INPUTS:
        learned = _attribute(inner, attribute)
        if hasattr(learned, "shape") and learned.shape:
            return int(learned.shape[axis])
    return None


def _attribute(holder: Any, name: str) -> Any:
    """A fitted attribute or None; properties of unfitted or partly fitted objects raise many things."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - third-party properties
        return None


def _columns(loaded: Any, count: int, names: Sequence[str] | None) -> list[Field]:
    """One unnamed Field for each of `count` input columns."""
    inner = estimators.first(loaded)
    if estimators.kind(inner) == "ColumnTransformer":
        return _split_columns(inner, count, names)
    return _one_transformer(_chain(loaded), count)


def _chain(loaded: Any) -> list[Any]:
    """The steps of the outermost Pipeline in `loaded`, or its innermost estimator alone."""
    while not isinstance(getattr(loaded, "steps", None), list):
        within = estimators.inner(loaded)
        if within is None:
            return [loaded]
        loaded = within
    return estimators.steps(loaded) or [loaded]


def _one_transformer(chain: Sequence[Any], count: int) -> list[Field]:
    """What `count` columns hold that all go through the transformers of `chain`, in order."""
    head = estimators.first(chain[0])
    kind = estimators.kind(head)
    if kind in _KEEP_COLUMNS:
        return _through_imputer(head, chain[1:], count)
    if kind in _ENCODERS:
        return _categories(head, count)
    if kind in _TEXT:
        return [_STRING] * count
    if kind.startswith("HistGradientBoosting"):
        return _hist_gradient_boosting(head, count)
    if estimators.library(head) == "xgboost":
        return xgboost_boosters.columns(head.get_booster(), count)
    if estimators.library(head) == "lightgbm":
        return lightgbm.columns(head.booster_, count)
    if kind == "FunctionTransformer" and type(_attribute(head, "func")).__name__ == "ufunc":
        return [_NUMBER] * count
    if estimators.library(head) == "sklearn" and kind not in ("FunctionTransformer", "Pipeline"):
        return [_NUMBER] * count
    return [_ANYTHING] * count


def _through_imputer(imputer: Any, following: Sequence[Any], count: int) -> list[Field]:
    dtype = getattr(_attribute(imputer, "statistics_"), "dtype", None)
    if dtype is not None and dtype.kind in "fiub":
        return [_NUMBER] * count
    if following and estimators.kind(following[0]) in _ENCODERS:
        return _categories(following[0], count)
    return [_ANYTHING] * count


def _categories(encoder: Any, count: int) -> list[Field]:
    found = _attribute(encoder, "categories_")
    if found is None or len(found) != count:
        return [_ANYTHING] * count
    return [_encoded(values) for values in found]


def _encoded(known: Any) -> Field:
    """The Field of a column of which an encoder knows the values `known`, an ndarray."""
    if known.dtype.kind == "M":
        return Field("", "datetime64")
    return _category_field(known.tolist())


def _category_field(values: list[Any]) -> Field:
    present = [value for value in values if value is not None and value == value]  # NaN differs from itself
    kinds = {type(value) for value in present}
    if kinds == {str}:
        dtype = "str"
    elif kinds == {bool}:
        dtype = "bool"
    elif kinds == {int} and len(present) == len(values):
        dtype = "int64"
    elif kinds and kinds <= {int, float}:
        dtype = "float64"
    else:
        dtype = "object"
    return Field("", dtype, categories=tuple(present))


def _hist_gradient_boosting(model: Any, count: int) -> list[Field]:
    is_categorical = _attribute(model, "is_categorical_")
    if is_categorical is None:
        return [_NUMBER] * count
    encoder = getattr(_attribute(model, "_preprocessor"), "named_transformers_", {}).get("encoder")
    found = iter(_attribute(encoder, "categories_") or ())
    fields = []
    for categorical in is_categorical:
        values = next(found, None) if categorical else None
        if not categorical:
            fields.append(_NUMBER)
        elif values is None:
            fields.append(_ANYTHING)
        else:
            fields.append(replace(_category_field(values.tolist()), dtype="category"))
    return fields


def _split_columns(transformer: Any, count: int, names: Sequence[str] | None) -> list[Field]:
    fields: dict[int, Field] = {}
    for _, part, columns in _attribute(transformer, "transformers_") or ():
        indices = _indices(columns, count, names)
        for index, field in zip(indices, _of_part(part, len(indices))):
            known = fields.get(index)
            fields[index] = field if known is None or not known.required else _merged(known, field)
    return [fields.get(index, _ANYTHING) for index in range(count)]


def _of_part(part: Any, count: int) -> list[Field]:
    if isinstance(part, str) or part is None:
        # "drop": nobody looks at the column. "passthrough": whatever the model takes.
        return [replace(_ANYTHING, required=part == "passthrough")] * count
    chain = estimators.steps(part) if estimators.kind(part) == "Pipeline" else [part]
    return _one_transformer(chain, count) if chain else [_ANYTHING] * count


def _merged(one: Field, other: Field) -> Field:
    """A column that two transformers take; a dropped column adds nothing."""
    if not other.required or one == other:
        return one
    return one if one.dtype == other.dtype else _ANYTHING


def _indices(columns: Any, count: int, names: Sequence[str] | None) -> list[int]:
    """The positions that a ColumnTransformer's column selection means: names, numbers, a slice or a mask."""
    if isinstance(columns, (str, int)):
        columns = [columns]
    if isinstance(columns, slice):
        start, stop = columns.start, columns.stop
        if isinstance(start, str) or isinstance(stop, str):
            order = list(names or ())
            first = order.index(start) if start in order else 0
            last = order.index(stop) + 1 if stop in order else count
            return list(range(first, last))
        return list(range(count))[columns]
    listed = list(columns)
    if listed and all(type(column).__name__ in ("bool", "bool_") for column in listed):
        return [index for index, chosen in enumerate(listed) if chosen]
    places = {name: index for index, name in enumerate(names or ())}
    indices: list[tuple[int, bool]] = []
    for column in listed:
        place = places.get(column) if isinstance(column, str) else int(column)
        indices.append((-1 if place is None else place % count, place is not None))
    return [index for index, known in indices if known]
