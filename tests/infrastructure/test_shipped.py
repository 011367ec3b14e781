"""Only what runs on Lambda is shipped there: every module is imported, directly or not, by a function's handler."""

import grimp

from vibe_router.core.wire_formats import WIRE_FORMATS

HANDLERS = ("gateway.app", "admin.app", "aggregator.app", "notifier.app")
PACKAGES = ("vibe_router", "gateway", "admin", "aggregator", "notifier")


def test_every_shipped_module_is_imported_by_a_function() -> None:
    graph = grimp.build_graph(*PACKAGES, "streaming_runtime", cache_dir=None)
    # The registry imports formats by name, when they are first used.
    formats = {f"vibe_router.formats.{entry.module}" for entry in WIRE_FORMATS.values()}
    reached: set[str] = set()
    waiting = [*HANDLERS, *formats, "vibe_router.hooks.litellm"]  # the latter for an operator's hooks
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += graph.find_modules_directly_imported_by(module)
    modules = {each for each in graph.modules if each.split(".")[0] in PACKAGES and not graph.find_children(each)}
    assert len(modules) > 50
    assert sorted(modules - reached) == []
