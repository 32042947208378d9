"""Every loss that the notebook printed is one that we could have printed, for some seed."""

import notebook
import numpy as np
import pytest

SEEDS = 100


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("cell", notebook.CELLS)
def test_printed_losses_lie_in_the_distribution_of_ours(cell):
    ours = np.log(notebook.our_losses(cell, SEEDS))
    printed = np.log(list(notebook.CELLS[cell].values()))
    deviations = np.abs(printed - ours.mean(axis=0)) / ours.std(axis=0)
    assert deviations.max() < 4


def test_the_epochs_are_those_that_the_notebook_printed():
    assert set(notebook.CELLS) <= set(notebook.LESSON)
    assert all(list(cell)[:5] == [0, 100, 200, 300, 400] for cell in notebook.CELLS.values())
