"""[kernels] of policy.toml: how much worse kernels may get from one version to the next."""

from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1, description="Write a share from 0 to 1.")]


class KernelLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of the kernels of each wheel or package; docs/reference/policy.md has the keys."""

    gone: Share = 0
    hollow: Share = 0
    vgpr_spills: Share = 1
    sgpr_spills: Share = 1
    waves: Share = 1
    scratch: Share = 1
    vgprs: Share = 1
    lds: Share = 1
