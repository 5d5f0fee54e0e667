"""One class per family of routes."""

from datarobot_mlops_async._resources._arguments import UNSET, RawValue, Unset
from datarobot_mlops_async._resources._results import Results
from datarobot_mlops_async._resources.custom_model_deployments import CustomModelDeployments
from datarobot_mlops_async._resources.deleted_deployments import DeletedDeployments
from datarobot_mlops_async._resources.deployments import Deployments
from datarobot_mlops_async._resources.pps_image import PPSImage
from datarobot_mlops_async._resources.resource_bundles import ResourceBundles

__all__ = [
    "UNSET",
    "CustomModelDeployments",
    "DeletedDeployments",
    "Deployments",
    "PPSImage",
    "RawValue",
    "ResourceBundles",
    "Results",
    "Unset",
]
