"""Who counts as one person: identities, and those that copies of a photo link."""

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


def linked(identity: pd.Series, group: Ints) -> Ints:
    """Number people, with identities that share a photo as one.

    Two names for one photo are most likely two names for one person. Links go through however many
    identities.

    Args:
        identity: Of each image, (n,).
        group: The smallest row of each image's group of copies (`copies.group`), (n,).

    Returns:
        int64 (n,): the place of each image's identity among the sorted names; of linked identities
        all have the place of the first.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    codes, names = pd.factorize(identity, sort=True)
    # A group is connected where each of its images is linked with the first.
    links = coo_array(
        (np.ones(len(codes), bool), (codes, codes[group])), shape=(len(names), len(names))
    )
    _, label = connected_components(links, directed=False)
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    people: Ints = first[place][codes]
    return people
