"""The metrics of a node for Prometheus. They are read from the ledger, so they survive a restart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.overview import LATENCY_BUCKETS, latency, pending
from monai_ceph.pacs.polling_loop import PollingLoop

__all__ = ["metrics_text"]


class _Collector:
    def __init__(
        self, ledger: NodeLedger, deliveries: list[DeliveryLoop], polls: list[PollingLoop], folder: Path
    ) -> None:
        self._ledger, self._deliveries, self._polls, self._folder = ledger, deliveries, polls, folder

    def collect(self) -> Iterator[Metric]:
        films = GaugeMetricFamily("monai_ceph_films", "Films by state", labels=["state"])
        counts = self._ledger.counts()
        for state in ("received", "detected", "done", "dead", "skipped"):
            films.add_metric([state], counts.get(state, 0))
        yield films
        objects = GaugeMetricFamily("monai_ceph_pending_objects", "Objects that wait for a target", labels=["target"])
        failures = GaugeMetricFamily("monai_ceph_target_failures", "Failures since the last answer", labels=["target"])
        waiting = pending(self._ledger)
        for delivery in self._deliveries:
            objects.add_metric([delivery.name], waiting.get(delivery.name, 0))
            failures.add_metric([delivery.name], delivery.state.failures)
        yield objects
        yield failures
        sources = GaugeMetricFamily(
            "monai_ceph_source_failures", "Rounds that failed since the last good one", labels=["source"]
        )
        for poll in self._polls:
            sources.add_metric([poll.name], poll.failures)
        yield sources
        free = shutil.disk_usage(self._folder).free
        yield GaugeMetricFamily("monai_ceph_spool_free_bytes", "Free on the file system of the folder", value=free)
        numbers, total = latency(self._ledger)
        buckets = [*zip(map(str, LATENCY_BUCKETS), numbers, strict=False), ("+Inf", numbers[-1])]
        yield HistogramMetricFamily(
            "monai_ceph_film_seconds", "From reception to the last answer of a target", buckets=buckets, sum_value=total
        )


def metrics_text(ledger: NodeLedger, deliveries: list[DeliveryLoop], polls: list[PollingLoop], folder: Path) -> bytes:
    """Return the metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Collector(ledger, deliveries, polls, folder))
    return generate_latest(registry)
