"""Add what commands change directly to the audit log of a stack."""

import getpass
import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vibe_router.store.dynamodb import DynamoDB

__all__ = ["audit_table_of", "digest_of_folder", "os_user", "record_change"]


def record_change(client: "DynamoDB", table: str, action: str, by: str, changes: Mapping[str, Any]) -> bool:
    """Add an entry; return whether that succeeded. The change is made already, so a failure must not fail the command.

    It fails for a stack of an earlier release, and without the right to write to the table.
    """
    from botocore.exceptions import BotoCoreError

    from vibe_router.access.audit import AuditEntry, new_position
    from vibe_router.store.audit import AuditStore
    from vibe_router.store.aws_errors import AwsError

    now = round(time.time(), 3)
    entry = AuditEntry(new_position(now), now, "", by, "", action, status=200, changes=changes)
    with suppress(AwsError, BotoCoreError):
        AuditStore(client, table).add(entry)
        return True
    return False


def audit_table_of(routes_table: str) -> str:
    """Return the name that template.yaml gives the audit table of a stack."""
    return f"{routes_table.removesuffix('-routes')}-audit"


def os_user() -> str:
    """Return who runs the command, as far as the machine knows."""
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "somebody"


def digest_of_folder(folder: Path) -> str:
    """Return a digest of all files in a folder, by their names and contents; "" without any."""
    digest, found = hashlib.sha256(), False
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
        found = True
    return digest.hexdigest()[:16] if found else ""
