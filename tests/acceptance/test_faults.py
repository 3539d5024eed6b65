"""CRMs that answer badly cost time, never a record."""

import pytest

from connectors.sandbox.faults import Fault, FaultKind
from tests.support.world import differences, world

PEOPLE = 50

KINDS = [
    pytest.param(Fault(kind=FaultKind.RATE_LIMITED, times=None, probability=0.05), id="rate limited"),
    pytest.param(
        Fault(kind=FaultKind.RATE_LIMITED, times=None, probability=0.05, retry_after=0),
        id="rate limited with Retry-After",
    ),
    pytest.param(Fault(kind=FaultKind.SERVER_ERROR, times=None, probability=0.05), id="server error"),
    pytest.param(Fault(kind=FaultKind.CUT_BEFORE, times=None, probability=0.05), id="cut before"),
    pytest.param(Fault(kind=FaultKind.CUT_AFTER, times=None, probability=0.05), id="cut after"),
    pytest.param(Fault(kind=FaultKind.PARTIAL_BATCH, times=None, probability=0.05), id="partial batch"),
    pytest.param(Fault(kind=FaultKind.HTML, times=None, probability=0.05), id="html"),
    pytest.param(Fault(kind=FaultKind.TRUNCATED, times=None, probability=0.05), id="truncated"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    with world(tmp_path_factory.mktemp("undisturbed"), people=PEOPLE) as scene:
        scene.run()
        return scene.box.state(), len(scene.box.salesforce.tasks()) + len(scene.box.hubspot.tasks())


@pytest.mark.parametrize("fault", KINDS)
def test_faults_of_one_kind_change_nothing_in_the_end(fault, tmp_path, undisturbed):
    state, tasks = undisturbed
    with world(tmp_path, people=PEOPLE) as scene:
        scene.box.faults.add(fault)
        for _ in range(4):
            report = scene.run()
        scene.box.faults.clear()
        report = scene.run()
        assert report.exit_code in (0, 5), report.error
        assert len(scene.box.salesforce.tasks()) + len(scene.box.hubspot.tasks()) == tasks
        assert differences(state, scene.box.state()) == []
        assert scene.run().writes == 0
