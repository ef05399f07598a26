import pytest

from angioatlas.failure_budget import FailureBudget, TooManyFailedError
from core.errors import UsageError
from core.outcomes import Code, InputRefused, Status
from store.inputs import InputRow


def failed(n, code=Code.DECODE_FAILED):
    return [
        InputRow(f"file:///{code}/{i}", 1, 1, InputRefused(code).status, code=code)
        for i in range(n)
    ]


@pytest.mark.parametrize(("said", "most"), [("0", 0), ("3", 3), ("5%", 2), ("2.5 %", 1), ("0%", 0)])
def test_as_many_as_allowed_may_fail_and_no_more(said, most):
    budget = FailureBudget(said, inputs=40 if said != "5%" else 59)
    budget.spend([*failed(most), InputRow("file:///good", 1, 1, Status.EMBEDDED)])
    with pytest.raises(TooManyFailedError, match=f"{most + 1} of .* more than --max-failed {said}"):
        budget.spend(failed(1))


def test_the_message_names_the_commonest_reasons():
    budget = FailureBudget("2", inputs=10)
    with pytest.raises(TooManyFailedError, match="unreadable 2, decode_failed 1"):
        budget.spend([*failed(1), *failed(2, Code.UNREADABLE)])


def test_what_is_skipped_has_not_failed_and_without_a_budget_all_may_fail():
    FailureBudget("0", inputs=10).spend(failed(5, Code.NO_CONTRAST))
    FailureBudget(None, inputs=10).spend(failed(10))


@pytest.mark.parametrize("said", ["", "five", "-1", "101%", "2.5", "5%%"])
def test_what_is_no_budget_is_refused(said):
    with pytest.raises(UsageError, match="neither a number of inputs nor a share"):
        FailureBudget(said, inputs=10)
