"""Files that the fuzzer sends: real ones, so that it gets past the door, and garbage.

Schemathesis loads this module by the name that `hooks` has in schemathesis.toml.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.evaluation.archives import zipped
from tests.pictures import encode, photograph

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

pictures = st.builds(
    lambda width, height, image_format: encode(photograph(width, height), image_format),
    st.integers(1, 80),
    st.integers(1, 80),
    st.sampled_from(_FORMATS),
)
archives = st.dictionaries(
    st.builds(
        "{}/{}.png".format, st.sampled_from(["3", "cat", "Truck", "what"]), st.integers(0, 3)
    ),
    pictures | st.binary(max_size=40),
    max_size=4,
).map(zipped)
garbage = st.binary(min_size=1, max_size=200) | st.builds(
    lambda data, share: data[: int(len(data) * share)], pictures | archives, st.floats(0, 0.99)
)


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """A form has no empty lists: such a field is not sent at all."""
    return not (isinstance(case.body, dict) and [] in case.body.values())


schemathesis.openapi.format("binary", st.one_of(pictures, pictures, pictures, archives, garbage))
schemathesis.openapi.media_type("image/*", st.one_of(pictures, pictures, garbage))
schemathesis.openapi.media_type(
    "application/zip",
    st.one_of(archives, archives, garbage),
    aliases=["application/x-zip-compressed", "application/octet-stream"],
)
