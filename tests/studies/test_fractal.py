"""Exact probabilities, causality, conservation of known cells: what holds however little the nets have learnt."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.studies.fractal.networks import (
    Atom,
    AtomConfig,
    Flat,
    Ladder,
    Raster,
    bits_of_flat,
    bits_of_independent_cells,
    bits_of_raster,
    parameters,
    surprise_of,
    teach,
)
from backend.studies.fractal.octree import (
    COUSINS,
    FEATURES,
    LEVELS,
    SIDE,
    causal_pairs,
    children_of,
    context,
    draw_shapes,
    most_parents,
    parents_in,
    put_children,
    pyramid,
    symmetries,
    turn,
    turned,
)
from backend.studies.fractal.samples import (
    GREEDY,
    Known,
    cache_error,
    complete,
    nearest_overlap,
    overlap,
    parts,
    read,
    sample,
    sum_of_states,
)
from backend.studies.fractal.study import ladders, study
from backend.studies.study import Size

SMALL = AtomConfig(width=16, blocks=2, heads=2, context=16)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ladder(seed: int = 0, spread: float = 3.0, shared: bool = True) -> Ladder:
    """Random and decided: chances far from a half."""
    torch.manual_seed(seed)
    made = Ladder(SMALL, shared)
    for atom in made.atoms:
        assert isinstance(atom, Atom)
        torch.nn.init.normal_(atom.head.weight, std=spread / 4)
    return made


def blobs(count: int, side: int = SIDE, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    axis = (torch.arange(side) + 0.5) / side
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    centre = 0.3 + 0.4 * torch.rand(count, 1, 1, 1, 3, generator=generator)
    radius = 0.15 + 0.2 * torch.rand(count, 1, 1, 1, generator=generator)
    return (grid - centre).norm(dim=-1) < radius


def parents_and_context(grids: list[Tensor], level: int) -> tuple[Tensor, Tensor, Tensor]:
    parents = grids[level].nonzero()
    return parents, context(grids, level, parents), children_of(grids[level + 1])[parents.unbind(1)]


def test_probabilities_of_all_256_states_of_a_parent_sum_to_one_and_the_empty_state_has_none():
    grids = pyramid(blobs(4))
    atoms = ladder()
    for level in range(LEVELS):
        _, seen, children = parents_and_context(grids, level)
        assert torch.allclose(sum_of_states(atoms.at(level), seen[:6]), torch.ones(1, dtype=torch.float64), atol=1e-5)
        nothing = atoms.at(level)(seen, torch.zeros_like(children))
        assert (nothing[:, -1] == math.inf).all()


def test_the_likelihood_of_all_two_cubed_shapes_sums_to_one():
    states = ((torch.arange(1, 256)[:, None] >> torch.arange(8)) & 1).bool().reshape(-1, 2, 2, 2)
    grids = pyramid(states)
    with torch.no_grad():
        bits = surprise_of(ladder(), grids, 0, grids[0].nonzero()).sum(1)
    assert float(torch.exp2(-bits.double()).sum()) == pytest.approx(1, abs=1e-5)


def test_a_child_is_given_only_what_comes_before_it():
    grids = pyramid(blobs(2))
    _, seen, children = parents_and_context(grids, 2)
    atom = ladder().at(2)
    for child in range(1, 8):
        changed = children.clone()
        changed[:, child:] = ~changed[:, child:]
        assert torch.equal(atom(seen, changed)[:, : child + 1], atom(seen, children)[:, : child + 1])


def test_keys_and_values_kept_give_the_logits_of_those_computed_anew():
    grids = pyramid(blobs(4))
    atoms = ladder()
    for level in range(LEVELS):
        _, seen, children = parents_and_context(grids, level)
        assert cache_error(atoms.at(level), seen, children) < 1e-5
    known = Known.nothing(3)
    kept, anew = (
        sample(atoms, known, torch.Generator().manual_seed(5), cached=cached)[0][-1] for cached in (True, False)
    )
    assert torch.equal(kept, anew)


def test_a_parent_sees_no_child_of_its_own_turn_or_a_later_one():
    """Redrawing the children of all parents of later turns, and its own, leaves a context alone."""
    generator = torch.Generator().manual_seed(1)
    cells = torch.rand(2, SIDE, SIDE, SIDE, generator=generator) < 0.4
    grids = pyramid(cells)
    for level in (1, 2, 3):
        parents = grids[level].nonzero()
        turns = turn(parents)
        seen = context(grids, level, parents)
        for number in range(8):
            later = parents[turns >= number]
            changed = [grid.clone() for grid in grids]
            put_children(changed[level + 1], later, ~children_of(grids[level + 1])[later.unbind(1)])
            now = turns == number
            assert torch.equal(context(changed, level, parents[now]), seen[now])


def test_a_parent_sees_the_children_of_neighbours_drawn_before_and_that_empty_neighbours_have_none():
    cells = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    cells[0, 0, 0, 0] = cells[0, 2, 3, 1] = True
    grids = pyramid(cells)
    parents = torch.tensor([[0, 1, 1, 0]])
    assert grids[1][parents.unbind(1)]
    cousins = context(grids, 1, parents)[0, : COUSINS**3].reshape(COUSINS, COUSINS, COUSINS)
    assert cousins[0, 0, 2] == 1
    assert cousins[1, 1, 3] == -1
    own = cousins[2:4, 2:4, 2:4]
    assert (own == 0).all()
    cousins = cousins.clone()
    cousins[2:4, 2:4, 2:4] = -1
    cousins[0, 0, 2] = -1
    assert (cousins == -1).all()


def test_contexts_are_whole_at_every_level():
    grids = pyramid(blobs(2))
    for level in range(LEVELS):
        parents, seen, _ = parents_and_context(grids, level)
        assert seen.shape == (len(parents), FEATURES)
        assert set(seen.unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_parents_of_a_turn_do_not_touch():
    parents = torch.ones(1, 8, 8, 8, dtype=torch.bool).nonzero()
    turns = turn(parents)
    for number in range(8):
        places = parents[turns == number, 1:]
        gaps = (places[:, None] - places).abs().amax(-1)
        assert gaps[~torch.eye(len(places), dtype=torch.bool)].min() == 2


def test_pyramid_and_children_undo_each_other():
    cells = blobs(3)
    grids = pyramid(cells)
    assert [grid.shape[-1] for grid in grids] == [1, 2, 4, 8, 16]
    for level in range(LEVELS):
        rebuilt = torch.zeros_like(grids[level + 1])
        parents = grids[level].nonzero()
        put_children(rebuilt, parents, children_of(grids[level + 1])[parents.unbind(1)])
        assert torch.equal(rebuilt, grids[level + 1])


def test_the_likelihood_of_shapes_adds_up_to_what_sampling_charges_when_everything_is_known():
    cells = blobs(5)
    atoms = ladder()
    grids, bits = sample(atoms, Known.of_cells(cells, torch.ones_like(cells)), torch.Generator())
    assert torch.equal(grids[-1], cells)
    assert float(bits.mean()) == pytest.approx(read(atoms, cells).total, rel=1e-4)


def test_samples_are_octrees_without_empty_branches():
    grids = sample(ladder(), Known.nothing(4), torch.Generator().manual_seed(0))[0]
    for mine, again in zip(grids, pyramid(grids[-1]), strict=True):
        assert torch.equal(mine, again)


def test_two_cubed_samples_are_as_frequent_as_their_probability():
    atoms = ladder(2)
    states = ((torch.arange(1, 256)[:, None] >> torch.arange(8)) & 1).bool().reshape(-1, 2, 2, 2)
    grids = pyramid(states)
    with torch.no_grad():
        chances = torch.exp2(-surprise_of(atoms, grids, 0, grids[0].nonzero()).sum(1)).numpy()
    drawn = sample(atoms, Known.nothing(20_000, 1), torch.Generator().manual_seed(0))[0][-1]
    number = (drawn.reshape(-1, 2, 2, 2).flatten(1).long() * 2 ** torch.arange(8)).sum(1) - 1
    counts = np.bincount(number.numpy(), minlength=255)
    sd = np.sqrt(20_000 * chances * (1 - chances)) + 1
    assert (np.abs(counts - 20_000 * chances) < 5 * sd).all()


def test_greedy_draws_do_not_depend_on_chance():
    one, other = (
        sample(ladder(), Known.nothing(2), torch.Generator().manual_seed(seed), GREEDY)[0][-1] for seed in (1, 2)
    )
    assert torch.equal(one, other)
    assert torch.equal(one[0], one[1])


def test_completions_keep_known_cells_bit_for_bit():
    cells = blobs(4)
    generator = torch.Generator().manual_seed(3)
    for share in (0.2, 0.9):
        known = torch.rand(cells.shape, generator=generator) < share
        done = complete(ladder(), cells, known, 3, generator)
        assert torch.equal(done[known], cells[known])


def test_an_empty_known_region_forces_the_shape_into_the_free_one():
    known = torch.ones(6, SIDE, SIDE, SIDE, dtype=torch.bool)
    known[:, 5, 7, 9] = False
    done = complete(ladder(), torch.zeros_like(known), known, 1, torch.Generator().manual_seed(0))
    assert torch.equal(done, ~known)


def test_gradients_of_the_likelihood_agree_with_differences():
    torch.manual_seed(0)
    atom = Ladder(SMALL).double().at(0)
    grids = pyramid(blobs(1))
    _, seen, children = parents_and_context(grids, 2)
    seen = seen.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: atom(x, children[:1])[:, :7], (seen[:1],), eps=1e-5, atol=1e-6)


def test_attention_is_counted_exactly():
    assert causal_pairs(8) == sum(range(1, 9))
    assert most_parents(16) == 1 + 8 + 64 + 512
    assert causal_pairs(16**3) == 4096 * 4097 // 2
    assert most_parents(16) * causal_pairs(8) / causal_pairs(16**3) < 1 / 390
    assert parents_in(pyramid(torch.ones(2, 16, 16, 16, dtype=torch.bool))) == most_parents(16)


def test_contestants_have_equal_parameters_and_separate_atoms_share_none():
    kinds = {kind: Ladder(config, shared) for kind, (config, shared) in ladders().items()}
    whole = parameters(kinds["shared"])
    assert abs(parameters(kinds["separate, equal total"]) / whole - 1) < 0.05
    assert parameters(kinds["separate, equal width"]) == 4 * whole
    assert len({id(kinds["separate, equal width"].at(level)) for level in range(LEVELS)}) == LEVELS
    assert len({id(kinds["shared"].at(level)) for level in range(LEVELS)}) == 1


def test_one_shot_splits_ignore_their_siblings_and_hidden_neighbours_change_nothing():
    grids = pyramid(blobs(2))
    _, seen, children = parents_and_context(grids, 3)
    torch.manual_seed(0)
    blind = Atom(AtomConfig(16, 1, 2, 16, siblings=False))
    condition = blind.condition(seen)
    assert torch.equal(blind.logits(condition, children[:, :-1]), blind.logits(condition, ~children[:, :-1]))
    lonely = Atom(AtomConfig(16, 1, 2, 16, neighbours=False))
    changed = seen.clone()
    changed[:, : COUSINS**3 + 125] *= -1
    assert torch.equal(lonely.condition(changed), lonely.condition(seen))


def test_flat_transformer_is_causal_and_a_distribution():
    torch.manual_seed(0)
    flat = Flat(2, 16, heads=2)
    states = ((torch.arange(256)[:, None] >> torch.arange(8)) & 1).bool().reshape(-1, 2, 2, 2)
    with torch.no_grad():
        each = torch.tensor([bits_of_flat(flat, state[None]) for state in states], dtype=torch.float64)
    assert float(torch.exp2(-each).sum()) == pytest.approx(1, abs=1e-5)
    assert flat.sample(2, torch.Generator()).shape == (2, 2, 2, 2)


def test_raster_network_is_a_distribution():
    torch.manual_seed(0)
    raster = Raster(2, 16)
    states = ((torch.arange(256)[:, None] >> torch.arange(8)) & 1).bool().reshape(-1, 2, 2, 2)
    each = torch.tensor([bits_of_raster(raster, state[None]) for state in states], dtype=torch.float64)
    assert float(torch.exp2(-each).sum()) == pytest.approx(1, abs=1e-5)


def test_independent_cells_cost_the_entropy_of_their_rates():
    generator = torch.Generator().manual_seed(0)
    cells = torch.rand(4000, 4, 4, 4, generator=generator) < 0.25
    entropy = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert float(bits_of_independent_cells(cells, cells).mean()) / 64 == pytest.approx(entropy, rel=0.01)


def test_the_cube_has_48_symmetries_and_each_keeps_a_shape_as_it_is():
    cells = blobs(1)[0]
    cells[:3, :2, :1] = True
    views = list(symmetries(cells))
    assert len({view.contiguous().numpy().tobytes() for view in views}) == 48
    assert all(int(view.sum()) == int(cells.sum()) for view in views)
    assert float(nearest_overlap(turned(cells[None], torch.Generator().manual_seed(4)), cells[None])) == 1
    assert float(overlap(cells[None], cells[None])) == 1


def test_parts_of_two_balls_are_two():
    cells = blobs(1)
    cells[:] = False
    cells[0, 1:4, 1:4, 1:4] = cells[0, 9:12, 9:12, 9:12] = True
    assert parts(cells).tolist() == [2]


def test_drawn_shapes_of_other_seeds_differ_and_the_same_seed_repeats():
    one, again, other = (draw_shapes(1, 1, 1, seed) for seed in (7, 7, 700))
    assert torch.equal(one, again)
    assert one.shape[1:] == (SIDE, SIDE, SIDE)
    assert not torch.equal(one, other)
    assert one.flatten(1).any(1).all()


def test_learning_lowers_the_bits_of_a_shape():
    cells = blobs(32)
    torch.manual_seed(0)
    made = Ladder(SMALL)
    before = read(made, cells).total
    teach(made, cells, 30, 5e-3)
    assert read(made, cells).total < 0.7 * before


def test_the_study_measures_every_row(tmp_path):
    found = study(Size.TEST, tmp_path, lambda line: None)
    assert len({claim.key for claim in found.claims}) == len(found.claims)
    assert all(math.isfinite(claim.measured) for claim in found.claims)
    assert all(path.exists() and path.stat().st_size > 5000 for path, _ in found.figures)
    exact = {claim.key: claim for claim in found.claims}
    assert all(exact[key].verdict == "met" for key in ("A1", "A2", "C1", "C2", "F1"))
