"""The store remembers which bulk jobs may be writing."""

from __future__ import annotations

import pytest

from connectors.records import Crm
from sync.store.bulk_jobs import BegunJobs
from sync.store.db import Store


def test_a_job_is_known_until_it_is_forgotten_also_to_another_process(store: Store) -> None:
    begun = BegunJobs(store, Crm.SALESFORCE)
    begun["750A"] = "Lead"
    begun["750B"] = "Contact"
    begun["750A"] = "Lead"
    assert dict(BegunJobs(store, Crm.SALESFORCE)) == {"750A": "Lead", "750B": "Contact"}
    assert dict(BegunJobs(store, Crm.HUBSPOT)) == {}
    del begun["750A"]
    with pytest.raises(KeyError):
        del begun["750A"]
    assert list(begun) == ["750B"]
