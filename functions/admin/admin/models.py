"""/model/info and /model_group/info: the virtual models and their deployments, in LiteLLM's shape."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from admin.call import call_of
from admin.openapi import answers
from admin.router import Router
from admin.routes_logic import catalogue
from vibe_router.core.models import Deployment, VirtualModel
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


@router.get(
    "/model_group/info",
    tags=["Models"],
    responses=answers("`data`: each with `model_group`, `providers`, prices and what it supports."),
)
def groups(model_group: Annotated[str | None, Query(max_length=300)] = None) -> dict[str, Any]:
    """List the virtual models, or one `model_group`, each with what its chain offers."""
    _, routes = catalogue(call_of(router))
    return {
        "data": [
            _group(name, model)
            for name, model in sorted(routes.models.items())
            if model_group is None or routes.resolve(model_group) == name
        ]
    }


def _group(name: str, model: VirtualModel) -> dict[str, Any]:
    """Return a virtual model. Prices are the highest of its chain, the window is the largest."""
    chain = list(model.chain)
    windows = [each.context_window for each in chain if each.context_window]
    prices = [each.price for each in chain if each.price]
    has_tools = any(each.tools for each in chain)
    return {
        "model_group": name,
        "description": model.description,
        "providers": list(dict.fromkeys(each.provider.name for each in chain)),
        "max_input_tokens": max(windows, default=None),
        "max_output_tokens": None,
        "input_cost_per_token": max((each.input / 1e6 for each in prices), default=None),
        "output_cost_per_token": max((each.output / 1e6 for each in prices), default=None),
        "mode": WIRE_FORMATS[chain[0].formats[0]].litellm_mode,
        "tpm": None,
        "rpm": None,
        "supports_vision": any(each.vision for each in chain),
        "supports_function_calling": has_tools,
        "supports_parallel_function_calling": has_tools,
        "supported_openai_params": [],
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
