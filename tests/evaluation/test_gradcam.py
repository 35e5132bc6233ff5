"""Tests of Grad-CAM maps, the regions of a face, and the mass of maps on them."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from contrastive_age.evaluation.gradcam import (
    AGE_GROUPS,
    REGIONS,
    age_groups,
    choose_samples,
    region_masks,
    region_mass,
    summarise,
)
from contrastive_age.evaluation.outputs import predict
from contrastive_age.faces.alignment import five_point_template
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork
from contrastive_age.training.augmentation import centre_crop, frame_size

SIZE = 64


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    side = frame_size(SIZE)
    coarse = torch.rand((6, 3, 5, 5), generator=generator)
    return (255 * interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)).to(torch.uint8)


@pytest.fixture(scope="module")
def network(images):
    torch.manual_seed(0)
    network = AgeNetwork(AgeClasses(16, 25)).eval()
    with torch.no_grad():
        # Untrained features hardly differ. Steep logits about their mean do, from face to face.
        features = network(centre_crop(images, SIZE)).features
        network.fc.weight *= 4 / features.std(dim=0).norm()
        network.fc.bias.copy_(-network.fc.weight @ features.mean(dim=0))
    return network


@pytest.fixture(scope="module")
def maps(network, images):
    return predict(network, images, SIZE, batch_size=4).maps


def block_and_logits(network, image):
    """The last block's output and the logits of one face, through torchvision's own layers."""
    net = network.backbone
    x = net.maxpool(net.bn1(net.conv1(centre_crop(image[None], SIZE))).relu())
    block = net.layer4(net.layer3(net.layer2(net.layer1(x))))
    return block, network.fc(net.avgpool(block).flatten(1))[0][0]


def normalised(values):
    total = sum(sum(row) for row in values)
    return [[value / total for value in row] for row in values] if total else values


def test_a_map_is_the_formula_worked_out_by_hand(network, images, maps):
    assert (maps.dtype, maps.shape) == (np.float32, (6, 2, 2))
    explained = set()
    for image, found in zip(images, maps, strict=True):
        block, logits = block_and_logits(network, image)
        probabilities = logits.softmax(dim=0).tolist()
        age = sum(p * (16 + place) for place, p in enumerate(probabilities))
        nearest = min(range(10), key=lambda place: abs(16 + place - age))
        explained.add(nearest)
        (gradient,) = torch.autograd.grad(logits[nearest], block)
        expected = [
            [
                max(
                    0.0,
                    sum(
                        gradient[0, k].mean().item() * block[0, k, row, column].item()
                        for k in range(512)
                    ),
                )
                for column in range(2)
            ]
            for row in range(2)
        ]
        np.testing.assert_allclose(found, normalised(expected), atol=1e-5)
    assert len(explained) > 1


def test_behind_global_pooling_the_weights_are_those_of_the_linear_layer(network, images, maps):
    with torch.no_grad():
        for image, found in zip(images, maps, strict=True):
            block, logits = block_and_logits(network, image)
            nearest = round((logits.softmax(dim=0) @ torch.arange(10.0)).item())
            evidence = torch.einsum("k,khw->hw", network.fc.weight[nearest], block[0]).relu()
            np.testing.assert_allclose(found, normalised(evidence.tolist()), atol=1e-5)


def test_each_map_sums_to_one(maps):
    assert (maps >= 0).all()
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 6])
def test_maps_depend_neither_on_batches_nor_on_order(network, images, maps, batch_size):
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    turned = predict(network, images[order], SIZE, batch_size).maps
    np.testing.assert_allclose(turned, maps[order.numpy()], atol=1e-5)


def test_a_face_with_nothing_to_say_for_its_age_has_a_zero_map(images):
    network = AgeNetwork(AgeClasses(0, 4))
    with torch.no_grad():
        network.fc.weight.fill_(-1)
    assert (predict(network, images, SIZE).maps == 0).all()


@pytest.mark.parametrize("coverage", [0.8, 1.0, 1.35, 2.0])
@pytest.mark.parametrize("size", [1, 7, 224])
def test_every_pixel_belongs_to_one_region(coverage, size):
    masks = region_masks(coverage, size)
    assert tuple(masks) == REGIONS
    assert all(mask.shape == (size, size) and mask.dtype == bool for mask in masks.values())
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()


@pytest.mark.parametrize("coverage", [1.0, 1.35, 2.0])
def test_the_five_points_lie_in_their_regions(coverage):
    masks = region_masks(coverage, 224)
    # The centre crop begins 16 pixels into an aligned face.
    points = np.round(five_point_template(coverage) - 16).astype(int)
    for name, (x, y) in zip(["eyes", "eyes", "nose", "mouth", "mouth"], points, strict=True):
        assert masks[name][y, x]
    (left, eyes), (right, _) = points[:2]
    assert masks["forehead"][eyes - (right - left) // 2, (left + right) // 2]
    assert masks["cheeks"][points[2][1], left]
    assert masks["background"][0, 0]
    assert masks["background"][-1, -1]


def test_a_wider_coverage_makes_every_part_of_the_face_smaller():
    tight, wide = region_masks(1.35, 1000), region_masks(2.7, 1000)
    for name in REGIONS[:-1]:
        assert wide[name].sum() == pytest.approx(tight[name].sum() / 4, rel=0.02)


def test_masks_without_a_pixel_are_an_error():
    with pytest.raises(ValueError, match="at least one pixel"):
        region_masks(1.35, 0)


@pytest.mark.parametrize("grid", [(2, 2), (7, 7), (3, 5)])
def test_mass_is_that_of_the_enlarged_map(grid):
    masks = region_masks(1.35, 56)
    maps = np.random.default_rng(0).random((3, *grid)).astype(np.float32)
    found = region_mass(maps, masks)
    assert (found.dtype, found.shape) == (np.float64, (3, len(REGIONS)))
    for map_, row in zip(maps, found, strict=True):
        large = interpolate(torch.from_numpy(map_)[None, None].double(), (56, 56), mode="bilinear")
        for mask, share in zip(masks.values(), row, strict=True):
            total = sum(large[0, 0, y, x].item() for y, x in np.argwhere(mask))
            assert share == pytest.approx(total / large.sum().item())
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_map_at_the_masks_resolution_is_simply_counted():
    top = np.zeros((4, 4), dtype=bool)
    top[0] = True
    maps = np.array([np.eye(4), np.ones((4, 4)), np.diag([0, 0, 0, 8.0])], dtype=np.float32)
    found = region_mass(maps, {"top": top, "rest": ~top})
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.25, 0.75], [0, 1]])


def test_a_flat_map_has_the_area_of_each_region_and_a_zero_map_none():
    masks = region_masks(1.35)
    flat, nothing = region_mass(np.stack([np.ones((7, 7)), np.zeros((7, 7))]), masks)
    np.testing.assert_allclose(flat, [mask.mean() for mask in masks.values()])
    assert np.isnan(nothing).all()


def test_age_groups_part_at_13_30_and_50():
    assert age_groups([0, 12, 13, 29, 30, 49, 50, 99]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all(lower < upper for lower, upper in AGE_GROUPS.values())


def test_the_summary_agrees_with_a_loop_over_faces():
    rng = np.random.default_rng(2)
    maps = rng.random((40, 7, 7)).astype(np.float32)
    maps[[3, 8]] = 0
    ages = rng.integers(0, 50, 40)
    summary = summarise(maps, ages, 1.35)
    masks = region_masks(1.35)
    mass = region_mass(maps, masks)
    assert (summary["grid"], summary["n"], summary["zero_maps"]) == ([7, 7], 40, 2)
    assert summary["area"] == {name: mask.mean() for name, mask in masks.items()}
    assert sum(summary["mass"].values()) == pytest.approx(1)
    assert list(summary["age_groups"]) == ["0-12", "13-29", "30-49", "50+"]
    for name, (lower, upper) in {"0-12": (0, 12), "13-29": (13, 29), "30-49": (30, 49)}.items():
        rows = [row for row in range(40) if lower <= ages[row] <= upper]
        seen = [mass[row] for row in rows if row not in (3, 8)]
        group = summary["age_groups"][name]
        assert (group["n"], group["zero_maps"]) == (len(rows), len(rows) - len(seen))
        for place, region in enumerate(REGIONS):
            mean = math.fsum(row[place] for row in seen) / len(seen)
            assert group["mass"][region] == pytest.approx(mean)
    assert summary["age_groups"]["50+"] == {"n": 0, "zero_maps": 0, "mass": None}
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_summary_needs_an_age_for_every_map():
    with pytest.raises(ValueError, match="as many ages"):
        summarise(np.ones((3, 2, 2), dtype=np.float32), [20, 30], 1.35)


def test_chosen_samples_are_even_over_the_age_groups():
    ages = np.array([5] * 50 + [20] * 40 + [35] * 3 + [60] * 7)
    names = [f"s{row:03d}" for row in range(100)]
    rows = choose_samples(names, ages, 24, seed=0)
    assert np.bincount(age_groups(ages[rows])).tolist() == [7, 7, 3, 7]
    assert rows.dtype == np.int64
    assert (np.diff(rows) > 0).all()
    assert choose_samples(names, ages, 500, seed=0).tolist() == list(range(100))


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_rows():
    rng = np.random.default_rng(4)
    ages, names = rng.integers(0, 70, 80), np.array([f"s{row:03d}" for row in range(80)])
    first = choose_samples(names, ages, 20, seed=1)
    order = rng.permutation(80)
    turned = choose_samples(names[order], ages[order], 20, seed=1)
    assert sorted(names[order][turned]) == sorted(names[first])
    assert choose_samples(names, ages, 20, seed=2).tolist() != first.tolist()


def test_those_that_are_named_are_explained_however_many_they_are():
    names, ages = ["a", "b", "c"], [10, 20, 30]
    assert choose_samples(names, ages, 1, seed=0, named=["c", "a", "gone"]).tolist() == [0, 2]
    assert choose_samples(names, ages, 1, seed=0, named=[]).tolist() == []
