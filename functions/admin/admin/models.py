"""/model/info: the virtual models and their deployments, in LiteLLM's shape."""

from typing import Any

from admin.call import call_of
from admin.openapi import answers
from admin.router import Router
from admin.routes_logic import catalogue
from vibe_router.core.models import Deployment
from vibe_router.core.wire_formats import WIRE_FORMATS

__all__ = ["router"]

router = Router()

_ANSWERS = answers("`data`: each with `model_name`, `litellm_params` and `model_info`.")


@router.get("/model/info", tags=["Models"], responses=_ANSWERS)
@router.get("/v1/model/info", tags=["Models"], responses=_ANSWERS)
def info() -> dict[str, Any]:
    """List every deployment of every virtual model."""
    _, routes = catalogue(call_of(router))
    return {
        "data": [
            _entry(name, position, deployment)
            for name, model in sorted(routes.models.items())
            for position, step in enumerate(model.steps, 1)
            for deployment in step
        ]
    }


def _entry(name: str, position: int, deployment: Deployment) -> dict[str, Any]:
    price = deployment.price
    return {
        "model_name": name,
        "litellm_params": {
            "model": f"{deployment.provider.name}/{deployment.model}",
            "api_base": deployment.provider.base_url,
            "weight": deployment.weight,
            "order": position,
        },
        "model_info": {
            "id": f"{name}#{position}#{deployment.id}",
            "db_model": True,
            "mode": WIRE_FORMATS[deployment.formats[0]].litellm_mode,
            "input_cost_per_token": price.input / 1e6 if price else None,
            "output_cost_per_token": price.output / 1e6 if price else None,
        },
    }
