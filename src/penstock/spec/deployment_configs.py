"""From a v1 ``deploymentconfig.json`` to a `Draft`."""

from __future__ import annotations

from typing import Any

from penstock.spec import documents, limits, validation
from penstock.spec.documents import Document
from penstock.spec.drafts import Draft
from penstock.spec.v1_schema import AciConfig, AksConfig, LocalConfig

_SCHEMAS: dict[str, type[LocalConfig] | type[AciConfig] | type[AksConfig]] = {
    "local": LocalConfig,
    "aci": AciConfig,
    "aks": AksConfig,
}

_WITHOUT_EFFECT = (
    "location",
    "sslEnabled",
    "sslCertificate",
    "sslKey",
    "cname",
    "dnsNameLabel",
    "appInsightsEnabled",
    "tokenAuthEnabled",
    "dataCollection",
    "gpuCores",
    "namespace",
    "computeTargetName",
    "vnetName",
    "subnetName",
)
"""Keys that are accepted and mean nothing on one machine."""


def read(file: str) -> Draft:
    """What the ``deploymentconfig.json`` at `file` says. Raises SpecError."""
    document = documents.read_json(file)
    said = document.data.get("computeType")
    schema = _SCHEMAS.get(said.lower()) if isinstance(said, str) else None
    if schema is None:
        if "entryScript" in document.data:
            raise document.error("this is an inference configuration", hint=f"--inference-config {file}")
        found = "it is missing" if said is None else f"found {said!r}"
        raise document.error(f"must be local, aci or aks, {found}", "computeType")
    spec: LocalConfig | AciConfig | AksConfig = validation.validated(document, schema)
    notes = [_effect_note(document)] if _without_effect(document) else []
    if isinstance(spec, LocalConfig):
        return Draft(serving={} if spec.port is None else {"port": spec.port}, notes=tuple(notes))
    serving: dict[str, Any] = {}
    keys = _keys(document, spec)
    if keys:
        serving["keys"] = keys
    elif spec.auth_enabled:
        notes.append(f"{file}: authEnabled, but no keys are in it: give them with --auth-key-file")
    settings = _aks_settings(document, spec) if isinstance(spec, AksConfig) else {}
    return Draft(settings=settings, serving=serving, notes=tuple(notes))


def _aks_settings(document: Document, spec: AksConfig) -> dict[str, Any]:
    if spec.token_auth_enabled and spec.auth_enabled and "authEnabled" in document.data:
        raise document.error("authEnabled and tokenAuthEnabled exclude each other", "tokenAuthEnabled")
    workers = spec.num_replicas
    scaler = spec.auto_scaler
    if scaler is not None:
        low, high = scaler.min_replicas or 1, scaler.max_replicas or 10
        if low > high:
            raise document.error(f"minReplicas {low} is more than maxReplicas {high}", "autoScaler")
        if workers is None and scaler.autoscale_enabled is not False:
            workers = low
    settings: dict[str, Any] = {
        "workers": workers or 1,
        "request_timeout_ms": spec.scoring_timeout_ms,
        "max_queue_wait_ms": spec.max_queue_wait_ms,
    }
    concurrent = spec.max_concurrent_requests_per_container
    if concurrent is not None:
        settings["max_queue"] = limits.queue_length(concurrent, workers or 1, workers or 1)
    probe = spec.liveness_probe_requirements
    if probe is not None:
        settings["start_timeout_s"] = limits.start_timeout_s(
            probe.initial_delay_seconds, probe.period_seconds, probe.timeout_seconds, probe.failure_threshold
        )
    return settings


def _keys(document: Document, spec: AciConfig | AksConfig) -> tuple[str, ...]:
    """The keys that the file holds, where it asks for authentication."""
    if spec.keys is None or not spec.auth_enabled:
        return ()
    if spec.keys.secondary_key and not spec.keys.primary_key:
        raise document.error("secondaryKey without primaryKey", "keys", "secondaryKey")
    return tuple(key for key in (spec.keys.primary_key, spec.keys.secondary_key) if key)


def _without_effect(document: Document) -> list[str]:
    named = [key for key in _WITHOUT_EFFECT if document.data.get(key) is not None]
    resources = document.data.get("containerResourceRequirements") or {}
    named += [f"containerResourceRequirements.{key}" for key in resources if resources[key] is not None]
    scaler = document.data.get("autoScaler") or {}
    named += [
        f"autoScaler.{key}"
        for key in ("maxReplicas", "refreshPeriodInSeconds", "targetUtilization")
        if key in scaler
    ]
    return named


def _effect_note(document: Document) -> str:
    return f"{document.file}: without effect on one machine: {', '.join(_without_effect(document))}"
