"""The metrics of a node for Prometheus. They are read from the ledger, so they survive a restart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from monai_ceph.pacs.delivery_loop import DeliveryLoop
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.open_files import open_files
from monai_ceph.pacs.overview import LATENCY_BUCKETS, latency, pending, refused
from monai_ceph.pacs.polling_loop import PollingLoop
from monai_ceph.pacs.proposal_loop import ProfileStanding
from monai_ceph.pacs.watch import Watch

__all__ = ["metrics_text"]


class _Collector:
    def __init__(
        self, ledger: NodeLedger, deliveries: list[DeliveryLoop], polls: list[PollingLoop], folder: Path, watch: Watch
    ) -> None:
        self._watch = watch
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
        yield from self._watched()
        for each in self._watch.more:
            yield from each.metrics()
        numbers, total = latency(self._ledger)
        buckets = [*zip(map(str, LATENCY_BUCKETS), numbers, strict=False), ("+Inf", numbers[-1])]
        yield HistogramMetricFamily(
            "monai_ceph_film_seconds", "From reception to the last answer of a target", buckets=buckets, sum_value=total
        )

    def _watched(self) -> Iterator[Metric]:
        """Yield what the node looks like from outside: connections, open files, and what is wrong."""
        places = self._watch.receiver.places
        yield GaugeMetricFamily(
            "monai_ceph_problems", "Reasons why films are refused", value=len(self._watch.problems())
        )
        yield GaugeMetricFamily(
            "monai_ceph_warnings", "Other things that need attention", value=len(self._watch.warnings())
        )
        yield GaugeMetricFamily("monai_ceph_associations", "Associations of senders", value=places.associations())
        yield GaugeMetricFamily("monai_ceph_associations_limit", "Limit", value=places.most)
        yield GaugeMetricFamily(
            "monai_ceph_waiting_connections", "Connections without an association", value=places.waiting()
        )
        kept_out = CounterMetricFamily(
            "monai_ceph_refused_connections", "Connections and associations that were refused", labels=["cause"]
        )
        for cause, count in dict(places.refused).items():
            kept_out.add_metric([cause], count)
        yield kept_out
        if (files := open_files()) is not None:
            yield GaugeMetricFamily("monai_ceph_open_files", "Open files of the node", value=files[0])
            yield GaugeMetricFamily("monai_ceph_open_files_limit", "Limit", value=files[1])
        objects = GaugeMetricFamily("monai_ceph_refused_objects", "Objects that a target refused", labels=["target"])
        refusals = refused(self._ledger)
        for delivery in self._deliveries:
            objects.add_metric([delivery.name], refusals.get(delivery.name, (0, ""))[0])
        yield objects
        behind = GaugeMetricFamily(
            "monai_ceph_source_days_behind",
            "Days since the last good query; negative: a wrong clock",
            labels=["source"],
        )
        for name, days in self._watch.days_behind().items():
            behind.add_metric([name], days)
        yield behind
        if (standing := self._watch.standing()) is not None:
            yield from _of_profiles(standing)


def _of_profiles(standing: ProfileStanding) -> Iterator[Metric]:
    """Yield what signed films say of profiles."""
    yield GaugeMetricFamily("monai_ceph_signed_films", "Films that people signed", value=standing.signed)
    yield GaugeMetricFamily(
        "monai_ceph_proposal_films", "Films of the profile that would be proposed", value=standing.films
    )
    yield GaugeMetricFamily(
        "monai_ceph_changed_landmarks", "Landmarks that the profile in use no longer fits", value=standing.changed
    )
    errors = GaugeMetricFamily("monai_ceph_expected_error_mm", "Mean error on signed films", labels=["profile"])
    for name, value in (("now", standing.now_mm), ("proposed", standing.then_mm)):
        if value is not None:
            errors.add_metric([name], value)
    yield errors


def metrics_text(
    ledger: NodeLedger, deliveries: list[DeliveryLoop], polls: list[PollingLoop], folder: Path, watch: Watch
) -> bytes:
    """Return the metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Collector(ledger, deliveries, polls, folder, watch))
    return generate_latest(registry)
